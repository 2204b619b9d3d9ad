"""PodTopologySpread: spread like Pods over zones, nodes or whatever labels say. Pure.

Pods that say nothing are spread softly over nodes and zones, away from their kin: the Pods of the same
controller that the same Services select.
Source: plugins/podtopologyspread/{common,filtering,scoring,plugin}.go.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

from nanokube.api import placement, selectors
from nanokube.api.objects import Object
from nanokube.scheduler.framework import MAX_SCORE, Change, Check, Filter, Rate, Score
from nanokube.scheduler.model import HOSTNAME, ZONE, Cluster, NodeInfo, PodInfo
from nanokube.scheduler.plugins import node_affinity

REASON = ("node(s) didn't match pod topology spread constraints",)
REASON_LABEL = ("node(s) didn't match pod topology spread constraints (missing required label)",)
IGNORED = -1.0
DEFAULTS = ((HOSTNAME, 3), (ZONE, 5))  # plugin.go: systemDefaultConstraints


@dataclasses.dataclass(frozen=True, slots=True)
class Constraint:
    """One constraint, its selector compiled; matches tells kin from other Pods of the namespace."""

    key: str
    max_skew: int
    matches: Callable[[PodInfo], bool]
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False

    def admits(self, pod: PodInfo, node: NodeInfo) -> bool:
        """Tell whether a node's Pods count."""
        if self.honor_affinity and not node_affinity.matches(pod, node):
            return False
        tolerations = pod.spec.get("tolerations") or ()
        return not self.honor_taints or (placement.untolerated(node.taints, tolerations) is None)

    def count(self, pod: PodInfo, node: NodeInfo) -> int:
        """Count kin on a node."""
        return sum(
            other.namespace == pod.namespace and not other.is_deleting and self.matches(other)
            for other in node.pods.values()
        )


def prepare(pod: PodInfo, cluster: Cluster) -> Check | None:
    """Refuse nodes that would raise a DoNotSchedule constraint's skew above its maximum."""
    constraints = _constraints(pod, "DoNotSchedule")
    if not constraints:
        return None
    counts = [_domains(pod, cluster, constraint, constraints) for constraint in constraints]

    def check(node: NodeInfo) -> tuple[str, ...]:
        for constraint, domains in zip(constraints, counts, strict=True):
            domain = node.labels.get(constraint.key)
            if domain is None:
                return REASON_LABEL
            least = min(domains.values(), default=0) if len(domains) >= constraint.min_domains else 0
            if domains.get(domain, 0) + constraint.matches(pod) - least > constraint.max_skew:
                return REASON
        return ()

    return check


def prepare_score(pod: PodInfo, cluster: Cluster) -> Rate | None:
    """Rate by kin in the node's domains (fewer is better: see normalize)."""
    constraints = _constraints(pod, "ScheduleAnyway")
    is_default = not constraints and not pod.spec.get("topologySpreadConstraints")
    if is_default and (kin := _kin(pod, cluster)) is not None:
        constraints = [Constraint(key, skew, kin) for key, skew in DEFAULTS]
    if not constraints:
        return None
    # Defaults do not ask for labels that a cluster without zones lacks.
    required = [] if is_default else constraints
    counts = [_domains(pod, cluster, constraint, required) for constraint in constraints]
    weights = [math.log(len(domains) + 2) for domains in counts]

    def rate(node: NodeInfo) -> float:
        if any(constraint.key not in node.labels for constraint in required):
            return IGNORED
        score = 0.0
        for constraint, domains, weight in zip(constraints, counts, weights, strict=True):
            if (domain := node.labels.get(constraint.key)) is not None:
                score += domains.get(domain, 0) * weight + constraint.max_skew - 1
        return float(round(score))

    return rate


def normalize(rates: list[float]) -> list[float]:
    """Turn kin counts into scores: the fewest is best, nodes without the labels score nothing."""
    counted = [rate for rate in rates if rate != IGNORED]
    least, most = min(counted, default=0.0), max(counted, default=0.0)

    def score(rate: float) -> float:
        if rate == IGNORED:
            return 0.0
        return MAX_SCORE if most == 0 else MAX_SCORE * (most + least - rate) // most

    return [score(rate) for rate in rates]


def _constraints(pod: PodInfo, when: str) -> list[Constraint]:
    return [
        _compiled(pod, constraint)
        for constraint in pod.spec.get("topologySpreadConstraints") or ()
        if constraint.get("whenUnsatisfiable", "DoNotSchedule") == when
    ]


def _compiled(pod: PodInfo, constraint: Object) -> Constraint:
    selector = selectors.from_object(constraint.get("labelSelector"))
    equal = {key: pod.labels[key] for key in constraint.get("matchLabelKeys") or () if key in pod.labels}

    def matches(other: PodInfo) -> bool:
        return selector.matches(other.labels) and equal.items() <= other.labels.items()

    return Constraint(
        constraint["topologyKey"],
        int(constraint["maxSkew"]),
        matches,
        int(constraint.get("minDomains") or 1),
        constraint.get("nodeAffinityPolicy", "Honor") == "Honor",
        constraint.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


def _domains(
    pod: PodInfo, cluster: Cluster, constraint: Constraint, required: Sequence[Constraint]
) -> dict[str, int]:
    """Count kin a domain, over the nodes that have every required label."""
    domains: dict[str, int] = {}
    for node in cluster.nodes:
        domain = node.labels.get(constraint.key)
        if domain is None or any(other.key not in node.labels for other in required):
            continue
        if constraint.admits(pod, node):
            domains[domain] = domains.get(domain, 0) + constraint.count(pod, node)
    return domains


def _kin(pod: PodInfo, cluster: Cluster) -> Callable[[PodInfo], bool] | None:
    """Tell kin of a Pod from others; None for a Pod that has neither controller nor Service."""
    selected: dict[str, str] = {}
    for selector in cluster.services.get(pod.namespace, {}).values():
        if selector.items() <= pod.labels.items():
            selected.update(selector)
    if not selected and not pod.owner_uid:
        return None
    return lambda other: other.owner_uid == pod.owner_uid and selected.items() <= other.labels.items()


def yields(pod: PodInfo, node: NodeInfo, why: Sequence[str]) -> bool:
    """Say whether the node has the labels, so that only the counts were against it."""
    return tuple(why) == REASON


FILTER = Filter("PodTopologySpread", prepare, Change.ANY, yields)
SCORE = Score("PodTopologySpread", 2, prepare_score, normalize)
