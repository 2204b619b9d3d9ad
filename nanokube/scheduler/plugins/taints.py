"""TaintToleration: taints keep Pods away that do not tolerate them. Pure.

Source: component-helpers scheduling/corev1/helpers.go; core/v1 toleration.go.
"""

from collections.abc import Iterable

from nanokube.api.objects import Object
from nanokube.scheduler.framework import Change, Check, Filter, Rate, Score, scaled_down
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

REASON = ("node(s) had untolerated taint(s)",)
KEEPING_AWAY = ("NoSchedule", "NoExecute")


def tolerates(toleration: Object, taint: Object) -> bool:
    """Tell whether a toleration covers a taint: in effect, key and value, where given."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    value, wanted = taint.get("value") or "", toleration.get("value") or ""
    if operator == "Exists":
        return True
    if operator in ("Gt", "Lt"):
        return _compare(value, wanted, operator)
    return bool(toleration.get("key")) and value == wanted


def is_tolerated(taint: Object, tolerations: Iterable[Object]) -> bool:
    """Tell whether any toleration covers the taint."""
    return any(tolerates(toleration, taint) for toleration in tolerations)


def untolerated(
    taints: Iterable[Object], tolerations: Iterable[Object], effects: Iterable[str]
) -> Object | None:
    """Give the first taint of these effects that nothing covers."""
    wanted, accepted = tuple(effects), tuple(tolerations)
    return next(
        (taint for taint in taints if taint.get("effect") in wanted and not is_tolerated(taint, accepted)),
        None,
    )


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse nodes with an untolerated NoSchedule or NoExecute taint."""
    tolerations = pod.spec.get("tolerations") or ()

    def check(node: NodeInfo) -> tuple[str, ...]:
        taint = untolerated(node.taints, tolerations, KEEPING_AWAY) if node.taints else None
        return () if taint is None else REASON

    return check


def prepare_score(pod: PodInfo, cluster: Cluster) -> Rate | None:
    """Count untolerated PreferNoSchedule taints: the fewer the better."""
    tolerations = [
        t for t in pod.spec.get("tolerations") or () if t.get("effect") in (None, "", "PreferNoSchedule")
    ]

    def rate(node: NodeInfo) -> float:
        soft = (taint for taint in node.taints if taint.get("effect") == "PreferNoSchedule")
        return float(sum(not is_tolerated(taint, tolerations) for taint in soft))

    return rate if any(node.taints for node in cluster.nodes) else None


def _compare(value: str, wanted: str, operator: str) -> bool:
    try:
        left, right = int(value), int(wanted)
    except ValueError:
        return False
    return left > right if operator == "Gt" else left < right


FILTER = Filter("TaintToleration", prepare, Change.NODE | Change.POD_CHANGED)
SCORE = Score("TaintToleration", 3, prepare_score, scaled_down)
