"""NodeAffinity: nodeSelector and node affinity, required and preferred. Pure.

Source: component-helpers scheduling/corev1/nodeaffinity/nodeaffinity.go.
"""

from collections.abc import Iterable, Sequence

from nanokube.api.objects import Object
from nanokube.scheduler.framework import Change, Check, Filter, Rate, Score, scaled
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

REASON = ("node(s) didn't match Pod's node affinity/selector",)


def matches(pod: PodInfo, node: NodeInfo) -> bool:
    """Tell whether nodeSelector and the required node affinity both admit a node."""
    selector = pod.spec.get("nodeSelector") or {}
    if any(node.labels.get(key) != value for key, value in selector.items()):
        return False
    required = (pod.affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(
        term_matches(term, node) for term in required.get("nodeSelectorTerms") or ()
    )


def term_matches(term: Object, node: NodeInfo) -> bool:
    """Tell whether every requirement of a node selector term holds; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_holds(found, node.labels.get(found["key"])) for found in expressions) and all(
        _holds(found, node.name if found["key"] == "metadata.name" else None) for found in fields
    )


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse nodes that nodeSelector or the required affinity does not admit."""
    if not pod.spec.get("nodeSelector") and not pod.affinity.get("nodeAffinity"):
        return None

    def check(node: NodeInfo) -> tuple[str, ...]:
        return () if matches(pod, node) else REASON

    return check


def prepare_score(pod: PodInfo, cluster: Cluster) -> Rate | None:
    """Add the weights of the preferred terms that match."""
    rules = pod.affinity.get("nodeAffinity") or {}
    preferred = rules.get("preferredDuringSchedulingIgnoredDuringExecution")

    def rate(node: NodeInfo) -> float:
        terms: Iterable[Object] = preferred or ()
        return float(sum(term["weight"] for term in terms if term_matches(term["preference"], node)))

    return rate if preferred else None


def _holds(requirement: Object, value: str | None) -> bool:
    wanted: Sequence[str] = requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return value is not None and value in wanted
        case "NotIn":
            return value is None or value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    try:
        left, right = int(value or ""), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return left > right if requirement["operator"] == "Gt" else left < right


FILTER = Filter("NodeAffinity", prepare, Change.NODE)
SCORE = Score("NodeAffinity", 2, prepare_score, scaled)
