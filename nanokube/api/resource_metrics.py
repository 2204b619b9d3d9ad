"""metrics.k8s.io: what nodes and Pods use, from two readings of kubelets' /stats/summary. Pure.

Source: k8s.io/metrics pkg/apis/metrics/v1beta1/types.go; metrics-server pkg/storage (rates, windows).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object
from nanokube.api.resource import Resource

GROUP: Final = "metrics.k8s.io"
VERSION: Final = "v1beta1"
NODES: Final = Resource(GROUP, VERSION, "NodeMetrics", "nodes", "", False, verbs=("get", "list"))
PODS: Final = Resource(GROUP, VERSION, "PodMetrics", "pods", "", True, verbs=("get", "list"))
ROWS: Final = (NODES, PODS)

Counters = Mapping[str, tuple[int, int]]
"""By container: CPU time in ns since its start, working set in bytes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one kubelet said. at: seconds since 1970; pods: by (namespace, name, uid)."""

    at: float
    node: tuple[int, int]
    pods: Mapping[tuple[str, str, str], Counters]


def read(summary: Object, at: float) -> Reading:
    """Read the document of /stats/summary."""
    pods = {}
    for pod in summary.get("pods") or ():
        ref = pod.get("podRef") or {}
        counters = {each["name"]: _counters(each) for each in pod.get("containers") or ()}
        pods[(ref.get("namespace", ""), ref.get("name", ""), ref.get("uid", ""))] = counters
    return Reading(at, _counters(summary.get("node") or {}), pods)


def _counters(stats: Object) -> tuple[int, int]:
    cpu, memory = stats.get("cpu") or {}, stats.get("memory") or {}
    return int(cpu.get("usageCoreNanoSeconds") or 0), int(memory.get("workingSetBytes") or 0)


def node(obj: Object, new: Reading, old: Reading) -> dict[str, Any]:
    """Build the NodeMetrics of a Node. old: what the kubelet said before."""
    usage = _usage(new.node, old.node, new.at - old.at)
    return {**_head(NODES, obj, new, old), "usage": usage}


def pod(obj: Object, new: Reading, old: Reading) -> dict[str, Any] | None:
    """Build the PodMetrics of a Pod; None before there are two readings of each of its containers."""
    key = (objects.namespace(obj), objects.name(obj), objects.uid(obj))
    counters, before = new.pods.get(key), old.pods.get(key)
    if not counters or before is None or any(_is_reset(c, before.get(name)) for name, c in counters.items()):
        return None
    containers = [
        {"name": name, "usage": _usage(found, before[name], new.at - old.at)}
        for name, found in sorted(counters.items())
    ]
    return {**_head(PODS, obj, new, old), "containers": containers}


def _is_reset(now: tuple[int, int], before: tuple[int, int] | None) -> bool:
    """Tell whether the container is not the one that was read before."""
    return before is None or now[0] < before[0]


def _head(resource: Resource, obj: Object, new: Reading, old: Reading) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": objects.name(obj)}
    if resource.namespaced:
        metadata["namespace"] = objects.namespace(obj)
    metadata["creationTimestamp"] = timestamps.format_time(new.at)
    if objects.labels(obj):
        metadata["labels"] = dict(objects.labels(obj))
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "timestamp": timestamps.format_time(new.at),
        "window": f"{new.at - old.at:.3f}s",
    }


def _usage(now: tuple[int, int], before: tuple[int, int], window_s: float) -> dict[str, str]:
    """Word what is used: CPU in billionths of a core, memory in KiB.

    A node's CPU time, the sum of its Pods', goes back when one ends.
    """
    nanocores = round(max(now[0] - before[0], 0) / window_s)
    return {"cpu": f"{nanocores}n" if nanocores else "0", "memory": f"{now[1] // 1024}Ki"}
