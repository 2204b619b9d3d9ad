"""NodeResourcesBalancedAllocation: prefer nodes whose cpu and memory fill up alike. Pure.

Source: plugins/noderesources/balanced_allocation.go.
"""

from nanokube.scheduler.framework import MAX_SCORE, Rate, Score
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo


def prepare(pod: PodInfo, cluster: Cluster) -> Rate | None:
    """Rate by how little the used shares differ (for two resources, half their difference)."""

    def rate(node: NodeInfo) -> float:
        shares = [
            min(1.0, (node.assumed.get(name, 0) + pod.assumed_requests.get(name, 0)) / capacity)
            for name in ("cpu", "memory")
            if (capacity := node.allocatable.get(name, 0))
        ]
        spread = (max(shares) - min(shares)) / 2 if len(shares) == 2 else 0.0
        return (1 - spread) * MAX_SCORE // 1

    # A Pod that asks for nothing unbalances nothing.
    return rate if pod.requests else None


SCORE = Score("NodeResourcesBalancedAllocation", 1, prepare)
