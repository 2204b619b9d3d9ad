"""How many replicas a metric asks for: its use compared with its target, over the Pods that count. Pure.

Amounts are in thousandths. Pods that should have a value and have none are taken to use all of the target
where that would scale down, and nothing where it would scale up: what is not known slows every change.
Source: pkg/controller/podautoscaler/replica_calculator.go, metrics/utilization.go.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from nanokube.api import objects, quantity, timestamps, usage
from nanokube.api.objects import Object

INITIALIZATION_S: Final = 300.0  # --horizontal-pod-autoscaler-cpu-initialization-period
READINESS_S: Final = 30.0  # --horizontal-pod-autoscaler-initial-readiness-delay
MOST: Final = (1 << 31) - 1
_POD_LEVEL: Final = ("cpu", "memory")


class NoProposal(Exception):
    """Why a metric asks for nothing."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What one Pod used: milli, measured over window_s seconds until time."""

    milli: int
    time: float
    window_s: float = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Tolerance:
    """How far below and above 1 a ratio of use to target may be without any change."""

    down: float = 0.1
    up: float = 0.1

    def covers(self, ratio: float) -> bool:
        """Tell whether a ratio asks for no change."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclasses.dataclass(frozen=True, slots=True)
class Proposal:
    """What a metric asks for, and its present value: of a Pod on average, and in percent of requests."""

    replicas: int
    average_milli: int
    utilization: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """What is scaled: its Pods, how many there are said to be, the tolerance, the time."""

    pods: Sequence[Object]
    replicas: int
    tolerance: Tolerance
    now: float


@dataclasses.dataclass(frozen=True, slots=True)
class _Measure:
    ratio: float
    average_milli: int
    utilization: int | None = None


def of_utilization(
    scene: Scene, samples: Mapping[str, Sample], resource: str, target: int, container: str = ""
) -> Proposal:
    """Compare the use of a resource with what the Pods request. target: percent. Raises NoProposal."""
    if not scene.pods:
        raise NoProposal("no pods returned by selector while calculating replica count")

    def measure(used: Mapping[str, int]) -> _Measure:
        requests = {objects.name(pod): _request(pod, container, resource) for pod in scene.pods}
        known = [name for name in used if name in requests]
        requested = sum(requests[name] for name in known)
        if not requested:
            raise NoProposal("no metrics returned matched known pods")
        total = sum(used[name] for name in known)
        percent = total * 100 // requested
        return _Measure(percent / target, total // len(known), percent)

    def missing(pod: Object) -> int:
        return _request(pod, container, resource) * max(100, target) // 100

    return _propose(scene, samples, resource, measure, missing)


def of_average(scene: Scene, samples: Mapping[str, Sample], resource: str, target_milli: int) -> Proposal:
    """Compare the average of the Pods' values with a target; resource is "" for other metrics.

    Raises NoProposal.
    """
    if not scene.pods:
        raise NoProposal("no pods returned by selector while calculating replica count")

    def measure(used: Mapping[str, int]) -> _Measure:
        average = sum(used.values()) // len(used)
        return _Measure(average / target_milli, average)

    return _propose(scene, samples, resource, measure, lambda pod: target_milli)


def of_value(scene: Scene, value_milli: int, target_milli: int) -> Proposal:
    """Compare one value, which all Pods share, with a target. Raises NoProposal."""
    ratio = value_milli / target_milli
    if not scene.replicas:
        return Proposal(_up(ratio), value_milli)
    if scene.tolerance.covers(ratio):
        return Proposal(scene.replicas, value_milli)
    if not scene.pods:
        cause = "no pods returned by selector while calculating replica count"
        raise NoProposal(f"unable to calculate ready pods: {cause}")
    ready = sum(
        objects.status(pod).get("phase") == "Running" and objects.is_condition_true(pod, "Ready")
        for pod in scene.pods
    )
    return Proposal(_up(ratio * ready), value_milli)


def of_share(tolerance: Tolerance, replicas: int, value_milli: int, target_milli: int) -> Proposal:
    """Divide one value among the Pods there are, and compare each one's share with a target."""
    ratio = value_milli / (target_milli * replicas) if replicas else math.inf
    wanted = replicas if tolerance.covers(ratio) else _up(value_milli / target_milli)
    return Proposal(wanted, _up(value_milli / replicas) if replicas else value_milli)


def _propose(
    scene: Scene,
    samples: Mapping[str, Sample],
    resource: str,
    measure: Callable[[Mapping[str, int]], _Measure],
    missing_uses: Callable[[Object], int],
) -> Proposal:
    ready, unready, missing = _grouped(scene, samples, resource)
    used = {name: samples[name].milli for name in samples if name in ready or name not in _names(scene.pods)}
    if not used:
        raise NoProposal("did not receive metrics for targeted pods (pods might be unready)")
    seen = measure(used)
    is_rising_unready = bool(unready) and seen.ratio > 1.0
    if not is_rising_unready and not missing:
        wanted = scene.replicas if scene.tolerance.covers(seen.ratio) else _up(seen.ratio * len(ready))
        return Proposal(wanted, seen.average_milli, seen.utilization)
    if seen.ratio != 1.0:
        used |= {objects.name(pod): missing_uses(pod) if seen.ratio < 1.0 else 0 for pod in missing}
    if is_rising_unready:
        used |= dict.fromkeys(unready, 0)
    ratio = measure(used).ratio
    wanted = _up(ratio * len(used))
    turns = (seen.ratio < 1.0 < ratio) or (ratio < 1.0 < seen.ratio)
    turns = turns or (ratio < 1.0 and wanted > scene.replicas) or (ratio > 1.0 and wanted < scene.replicas)
    if turns or scene.tolerance.covers(ratio):
        wanted = scene.replicas
    return Proposal(wanted, seen.average_milli, seen.utilization)


def _names(pods: Sequence[Object]) -> frozenset[str]:
    return frozenset(objects.name(pod) for pod in pods)


def _grouped(
    scene: Scene, samples: Mapping[str, Sample], resource: str
) -> tuple[frozenset[str], frozenset[str], list[Object]]:
    """Sort Pods into those that count, those not ready yet (names), and those without a sample."""
    ready, unready, missing = set[str](), set[str](), list[Object]()
    for pod in scene.pods:
        name, phase = objects.name(pod), objects.status(pod).get("phase")
        if objects.is_deleting(pod) or phase == "Failed":
            continue
        if phase == "Pending":
            unready.add(name)
        elif name not in samples:
            missing.append(pod)
        elif resource == "cpu" and _is_starting(pod, samples[name], scene.now):
            unready.add(name)
        else:
            ready.add(name)
    return frozenset(ready), frozenset(unready), missing


def _is_starting(pod: Object, sample: Sample, now: float) -> bool:
    """Tell whether what a Pod uses is still that of its start."""
    condition, started = objects.condition(pod, "Ready"), objects.status(pod).get("startTime")
    if condition is None or not started:
        return True
    since = timestamps.parse(condition.get("lastTransitionTime") or started)
    began = timestamps.parse(started)
    is_unready = condition.get("status") == "False"
    if began + INITIALIZATION_S > now:
        return is_unready or sample.time < since + sample.window_s
    return is_unready and began + READINESS_S > since


def _request(pod: Object, container: str, resource: str) -> int:
    """Read what a Pod, or one container, requests. Raises NoProposal."""
    spec, name = objects.spec(pod), objects.name(pod)
    whole = (spec.get("resources") or {}).get("requests") or {}
    if not container and any(key in _POD_LEVEL or key.startswith("hugepages-") for key in whole):
        amount = usage.pod_amounts(spec, "requests").get(resource)
        if amount is None:
            raise NoProposal(f"missing pod-level request for {resource} in Pod {name}")
        return amount.milli
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    total, is_found = 0, not container
    for each in (*(spec.get("containers") or ()), *sidecars):
        if container and each["name"] != container:
            continue
        requests = (each.get("resources") or {}).get("requests") or {}
        if resource not in requests:
            raise NoProposal(f"missing request for {resource} in container {each['name']} of Pod {name}")
        total += quantity.milli(requests[resource])
        is_found = True
    if not is_found:
        raise NoProposal(f"container {container} not found in Pod {name}")
    return total


def _up(amount: float) -> int:
    return MOST if amount > MOST else math.ceil(amount)
