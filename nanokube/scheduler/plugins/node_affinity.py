"""NodeAffinity: nodeSelector and node affinity, required and preferred. Pure.

Source: pkg/scheduler/framework/plugins/nodeaffinity/node_affinity.go.
"""

from collections.abc import Iterable

from nanokube.api import placement
from nanokube.api.objects import Object
from nanokube.scheduler.framework import Change, Check, Filter, Rate, Score, never, scaled
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

REASON = ("node(s) didn't match Pod's node affinity/selector",)


def matches(pod: PodInfo, node: NodeInfo) -> bool:
    """Tell whether nodeSelector and the required node affinity both admit a node."""
    return placement.selects(pod.spec, node.name, node.labels)


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
        matching = (
            term for term in terms if placement.term_matches(term["preference"], node.name, node.labels)
        )
        return float(sum(term["weight"] for term in matching))

    return rate if preferred else None


FILTER = Filter("NodeAffinity", prepare, Change.NODE, never)
SCORE = Score("NodeAffinity", 2, prepare_score, scaled)
