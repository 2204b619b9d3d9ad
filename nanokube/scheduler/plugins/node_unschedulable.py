"""NodeUnschedulable: cordoned nodes take only Pods that tolerate it. Pure."""

from nanokube.api import placement
from nanokube.scheduler.framework import Change, Check, Filter, never
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

REASON = ("node(s) were unschedulable",)
TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse cordoned nodes, unless the Pod tolerates the taint that stands for it."""
    tolerated = placement.is_tolerated(TAINT, pod.spec.get("tolerations") or ())

    def check(node: NodeInfo) -> tuple[str, ...]:
        return REASON if node.is_unschedulable else ()

    return None if tolerated else check


FILTER = Filter("NodeUnschedulable", prepare, Change.NODE, never)
