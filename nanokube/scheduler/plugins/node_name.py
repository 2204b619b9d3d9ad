"""NodeName: a Pod that names its node goes there or nowhere. Pure."""

from nanokube.scheduler.framework import Change, Check, Filter, never
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

REASON = ("node(s) didn't match the requested node name",)


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse every other node."""
    wanted = pod.spec.get("nodeName")

    def check(node: NodeInfo) -> tuple[str, ...]:
        return () if node.name == wanted else REASON

    return check if wanted else None


FILTER = Filter("NodeName", prepare, Change.NODE_ADDED, never)
