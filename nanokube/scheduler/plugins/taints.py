"""TaintToleration: taints keep Pods away that do not tolerate them. Pure.

Source: pkg/scheduler/framework/plugins/tainttoleration/taint_toleration.go.
"""

from nanokube.api import placement
from nanokube.scheduler.framework import Change, Check, Filter, Rate, Score, never, scaled_down
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

REASON = ("node(s) had untolerated taint(s)",)


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse nodes with an untolerated NoSchedule or NoExecute taint."""
    tolerations = pod.spec.get("tolerations") or ()

    def check(node: NodeInfo) -> tuple[str, ...]:
        taint = placement.untolerated(node.taints, tolerations) if node.taints else None
        return () if taint is None else REASON

    return check


def prepare_score(pod: PodInfo, cluster: Cluster) -> Rate | None:
    """Count untolerated PreferNoSchedule taints: the fewer the better."""
    tolerations = [
        t for t in pod.spec.get("tolerations") or () if t.get("effect") in (None, "", "PreferNoSchedule")
    ]

    def rate(node: NodeInfo) -> float:
        soft = (taint for taint in node.taints if taint.get("effect") == "PreferNoSchedule")
        return float(sum(not placement.is_tolerated(taint, tolerations) for taint in soft))

    return rate if any(node.taints for node in cluster.nodes) else None


FILTER = Filter("TaintToleration", prepare, Change.NODE | Change.POD_CHANGED, never)
SCORE = Score("TaintToleration", 3, prepare_score, scaled_down)
