"""Pods that wait for room on a node that was, or is being, made for them. Pure.

Until such a Pod is bound, others of no higher priority must leave its room alone.
Source: pkg/scheduler/backend/queue/nominator.go.
"""

from collections.abc import Iterator

from nanokube.scheduler.model import PodInfo


class Nominations:
    """The node each such Pod waits for, by UID."""

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[str, PodInfo]] = {}

    def put(self, pod: PodInfo, node: str) -> None:
        """Nominate a node for a Pod, instead of any before."""
        self._nodes[pod.uid] = (node, pod)

    def remove(self, uid: str) -> None:
        """Forget a Pod that is bound or gone, or whose room is not kept any more."""
        self._nodes.pop(uid, None)

    def node_of(self, uid: str) -> str:
        """Give a Pod's node, "" if it has none."""
        return self._nodes[uid][0] if uid in self._nodes else ""

    def on(self, node: str) -> Iterator[PodInfo]:
        """Give the Pods that wait for room on a node."""
        return (pod for where, pod in list(self._nodes.values()) if where == node)

    def rivals(self, pod: PodInfo) -> dict[str, list[PodInfo]]:
        """Give, by node, the Pods whose room pod must leave alone."""
        found: dict[str, list[PodInfo]] = {}
        for where, other in self._nodes.values():
            if other.uid != pod.uid and other.priority >= pod.priority:
                found.setdefault(where, []).append(other)
        return found
