"""InterPodAffinity: near or far from other Pods, by the topology of their nodes. Pure.

Source: plugins/interpodaffinity/{filtering,scoring}.go.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from nanokube.api import selectors
from nanokube.api.objects import Object
from nanokube.scheduler.framework import MAX_SCORE, Change, Check, Filter, Rate, Score
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

EXISTING = ("node(s) didn't satisfy existing pods anti-affinity rules",)
AFFINITY = ("node(s) didn't match pod affinity rules",)
ANTI_AFFINITY = ("node(s) didn't match pod anti-affinity rules",)
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

Pairs: TypeAlias = Counter[tuple[str, str]]  # (topology key, value) -> Pods, or weight
Namespaces: TypeAlias = Mapping[str, Mapping[str, str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """One affinity term of a Pod, compiled."""

    key: str
    selector: selectors.LabelSelector
    equal: tuple[tuple[str, str], ...]
    differ: tuple[tuple[str, str], ...]
    namespaces: frozenset[str]
    namespace_selector: selectors.LabelSelector | None

    def matches(self, pod: PodInfo, namespaces: Namespaces) -> bool:
        """Tell whether the term speaks of a Pod."""
        in_namespace = pod.namespace in self.namespaces or (
            self.namespace_selector is not None
            and self.namespace_selector.matches(namespaces.get(pod.namespace, {}))
        )
        return (
            in_namespace
            and self.selector.matches(pod.labels)
            and all(pod.labels.get(key) == value for key, value in self.equal)
            and all(pod.labels.get(key) != value for key, value in self.differ)
        )


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse nodes that break the Pod's required terms, or an existing Pod's required anti-affinity."""
    near, far = _required(pod, "podAffinity"), _required(pod, "podAntiAffinity")
    refused = _refused_by_others(pod, cluster)
    if not near and not far and not refused:
        return None
    wanted = _pairs_of(near, cluster, together=True)
    unwanted = _pairs_of(far, cluster, together=False)
    # The first of a group that wants to be near its own kind may go anywhere that has the labels.
    is_first = not wanted and all(term.matches(pod, cluster.namespaces) for term in near)

    def check(node: NodeInfo) -> tuple[str, ...]:
        for term in near:
            value = node.labels.get(term.key)
            if value is None or ((term.key, value) not in wanted and not is_first):
                return AFFINITY
        if any((term.key, node.labels.get(term.key)) in unwanted for term in far):
            return ANTI_AFFINITY
        if any((key, value) in refused for key, value in node.labels.items()):
            return EXISTING
        return ()

    return check


def prepare_score(pod: PodInfo, cluster: Cluster) -> Rate | None:
    """Add weights of preferred terms, of this Pod and of those already placed."""
    weights: Pairs = Counter()
    own = [*_preferred(pod, "podAffinity", 1), *_preferred(pod, "podAntiAffinity", -1)]
    for node in cluster.nodes:
        for other in node.pods.values():
            if not own and not other.affinity:
                continue
            theirs = [
                *_preferred(other, "podAffinity", 1),
                *_preferred(other, "podAntiAffinity", -1),
                *((term, 1) for term in _required(other, "podAffinity")),
            ] if other.affinity else []  # fmt: skip
            found = [(term, weight) for term, weight in own if term.matches(other, cluster.namespaces)]
            found += [(term, weight) for term, weight in theirs if term.matches(pod, cluster.namespaces)]
            for term, weight in found:
                if (value := node.labels.get(term.key)) is not None:
                    weights[term.key, value] += weight

    def rate(node: NodeInfo) -> float:
        return float(sum(weights[pair] for pair in node.labels.items() if pair in weights))

    return rate if weights else None


def normalize(rates: list[float]) -> list[float]:
    """Stretch so that the least is 0 and the most is 100."""
    least, most = min(rates), max(rates)
    return [MAX_SCORE * (rate - least) // (most - least) if most > least else 0.0 for rate in rates]


def _required(pod: PodInfo, field: str) -> list[Term]:
    return [_compiled(pod, term) for term in (pod.affinity.get(field) or {}).get(REQUIRED) or ()]


def _preferred(pod: PodInfo, field: str, sign: int) -> list[tuple[Term, int]]:
    found = (pod.affinity.get(field) or {}).get(PREFERRED) or ()
    return [(_compiled(pod, entry["podAffinityTerm"]), sign * int(entry["weight"])) for entry in found]


def _compiled(pod: PodInfo, term: Object) -> Term:
    named = frozenset(term.get("namespaces") or ())
    by_labels = term.get("namespaceSelector")

    def pinned(field: str) -> tuple[tuple[str, str], ...]:
        return tuple((key, pod.labels[key]) for key in term.get(field) or () if key in pod.labels)

    return Term(
        term["topologyKey"],
        selectors.from_object(term.get("labelSelector")),
        pinned("matchLabelKeys"),
        pinned("mismatchLabelKeys"),
        named if named or by_labels is not None else frozenset((pod.namespace,)),
        selectors.from_object(by_labels) if by_labels is not None else None,
    )


def _refused_by_others(pod: PodInfo, cluster: Cluster) -> set[tuple[str, str]]:
    refused = set()
    for node in cluster.nodes if cluster.has_anti_affinity else ():
        for other in node.anti_affine.values():
            for term in _required(other, "podAntiAffinity"):
                if term.key in node.labels and term.matches(pod, cluster.namespaces):
                    refused.add((term.key, node.labels[term.key]))
    return refused


def _pairs_of(terms: list[Term], cluster: Cluster, *, together: bool) -> set[tuple[str, str]]:
    """Find where the terms' Pods are; together: only Pods that all terms speak of count."""
    pairs: set[tuple[str, str]] = set()
    for node in cluster.nodes if terms else ():
        for other in node.pods.values():
            speaking: Iterable[Term] = [term for term in terms if term.matches(other, cluster.namespaces)]
            if together and len(list(speaking)) < len(terms):
                continue
            pairs.update((term.key, node.labels[term.key]) for term in speaking if term.key in node.labels)
    return pairs


def yields(pod: PodInfo, node: NodeInfo, why: Sequence[str]) -> bool:
    """Say whether a Pod there is too near; no Pod's end brings another near."""
    return tuple(why) != AFFINITY


FILTER = Filter("InterPodAffinity", prepare, Change.ANY, yields)
SCORE = Score("InterPodAffinity", 2, prepare_score, normalize)
