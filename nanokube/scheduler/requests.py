"""What a Pod asks of a node's resources. Pure.

Units: cpu in thousandths, everything else in whole units (bytes, counts).
Source: component-helpers resource/helpers.go (PodRequests), KEP-753 (sidecars), KEP-2837 (Pod level).
"""

from collections.abc import Mapping
from typing import TypeAlias

from nanokube.api import quantity, resized
from nanokube.api.objects import Object

Amounts: TypeAlias = dict[str, int]

# What a container that asks for nothing is taken to use when nodes are compared (schedutil/pod_resources.go).
ASSUMED_CPU_MILLI = 100
ASSUMED_MEMORY_BYTES = 200 * 1024 * 1024


def parse(listed: Mapping[str, str | int | float] | None) -> Amounts:
    """Read a ResourceList."""
    return {
        name: quantity.milli(amount) if name == "cpu" else quantity.value(amount)
        for name, amount in (listed or {}).items()
    }


def of_pod(pod: Object, *, assume: bool = False) -> Amounts:
    """Give a Pod's effective requests; assume fills in cpu and memory where a container asks for none."""
    spec = resized.spec(pod)
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _of_container(container, assume=assume))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        asked = _of_container(container, assume=assume)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, asked)
            _raise_to(peak, sidecars)
        else:
            _raise_to(peak, _sum(sidecars, asked))
    _add(total, sidecars)
    _raise_to(total, peak)
    for name, amount in parse((spec.get("resources") or {}).get("requests")).items():
        total[name] = amount  # set for the Pod as a whole: its containers share it
    _add(total, parse(spec.get("overhead")))
    return {name: amount for name, amount in total.items() if amount}


def _of_container(container: Object, *, assume: bool) -> Amounts:
    asked = parse((container.get("resources") or {}).get("requests"))
    if assume:
        asked.setdefault("cpu", ASSUMED_CPU_MILLI)
        asked.setdefault("memory", ASSUMED_MEMORY_BYTES)
    return asked


def _add(into: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        into[name] = into.get(name, 0) + amount


def _sum(left: Amounts, right: Amounts) -> Amounts:
    both = dict(left)
    _add(both, right)
    return both


def _raise_to(into: Amounts, least: Amounts) -> None:
    for name, amount in least.items():
        into[name] = max(into.get(name, 0), amount)
