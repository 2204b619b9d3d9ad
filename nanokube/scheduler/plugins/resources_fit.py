"""NodeResourcesFit: a node must have room for what a Pod requests; the emptier node is better. Pure.

Source: plugins/noderesources/{fit,least_allocated}.go.
"""

from collections.abc import Sequence

from nanokube.scheduler.framework import MAX_SCORE, Change, Check, Filter, Rate, Score
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

SCORED = ("cpu", "memory")


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Name every resource that is short."""

    def check(node: NodeInfo) -> list[str]:
        short = []
        if len(node.pods) + 1 > node.allocatable.get("pods", 0):
            short.append("Too many pods")
        for name, amount in pod.requests.items():
            if amount > node.allocatable.get(name, 0) - node.requested.get(name, 0):
                short.append(f"Insufficient {name}")
        return short

    return check


def prepare_score(pod: PodInfo, cluster: Cluster) -> Rate | None:
    """Rate by the mean free share of cpu and memory after the Pod is placed."""

    def rate(node: NodeInfo) -> float:
        shares = []
        for name in SCORED:
            capacity = node.allocatable.get(name, 0)
            if capacity:
                used = node.assumed.get(name, 0) + pod.assumed_requests.get(name, 0)
                shares.append(max(0, capacity - used) * MAX_SCORE // capacity)
        return sum(shares) // len(shares) if shares else 0.0

    return rate


def yields(pod: PodInfo, node: NodeInfo, why: Sequence[str]) -> bool:
    """Say whether the empty node would have room."""
    return all(amount <= node.allocatable.get(name, 0) for name, amount in pod.requests.items())


FILTER = Filter("NodeResourcesFit", prepare, Change.NODE | Change.POD_GONE | Change.POD_CHANGED, yields)
SCORE = Score("NodeResourcesFit", 1, prepare_score)
