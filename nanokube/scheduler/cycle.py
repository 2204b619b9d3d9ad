"""One decision: the best node for one Pod, or why there is none. Pure; randomness comes in.

Source: pkg/scheduler/schedule_one.go; message form of framework/types.go (FitError).
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from nanokube.scheduler import profile
from nanokube.scheduler.framework import Change, Check, Filter, Refused, Score
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

# Above this many nodes only a part is examined: enough good ones are found (schedule_one.go).
EXAMINE_ALL = 100
LEAST_PERCENT = 5
NO_RIVALS: Mapping[str, Sequence[PodInfo]] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """The Pod goes to this node."""

    node: str


@dataclasses.dataclass(frozen=True, slots=True)
class Unplaced:
    """No node will do: why, in the words users know, and which changes may help.

    helpable: nodes that might do with fewer Pods on them.
    """

    message: str
    retry_on: Change
    helpable: tuple[str, ...] = ()


def decide(
    pod: PodInfo,
    cluster: Cluster,
    *,
    pick: Callable[[Sequence[str]], str],
    start: int = 0,
    first: str = "",
    rivals: Mapping[str, Sequence[PodInfo]] = NO_RIVALS,
    filters: Sequence[Filter] = profile.FILTERS,
    scores: Sequence[Score] = profile.SCORES,
) -> Placed | Unplaced:
    """Choose a node.

    pick: takes one of several equally good nodes. start: the index of the node to examine first, so that in
    a large cluster, of which only a part is examined, every part has its turn. first: a node that is taken if
    it will do. rivals: Pods, by node, whose room there must be left.
    """
    if not cluster.nodes:
        return Unplaced("no nodes available to schedule pods", Change.NODE_ADDED)
    try:
        checks = [(found, check) for found in filters if (check := found.prepare(pod, cluster)) is not None]
    except Refused as refusal:
        return Unplaced(f"0/{len(cluster.nodes)} nodes are available: {refusal}.", refusal.retry_on)
    # Filters: the nodes that will do, up to as many as are enough, and why others will not.
    enough = _enough(len(cluster.nodes))
    feasible: list[NodeInfo] = []
    helpable: list[str] = []
    for node in cluster.nodes if first else ():
        if node.name == first and _examine(node, checks, rivals)[0] is None:
            return Placed(first)
    reasons: collections.Counter[str] = collections.Counter()
    retry_on = Change.NODE_ADDED
    for offset in range(len(cluster.nodes)):
        node = cluster.nodes[(start + offset) % len(cluster.nodes)]
        refused_by, why = _examine(node, checks, rivals)
        if refused_by is None:
            feasible.append(node)
            if len(feasible) >= enough:
                break
        else:
            reasons.update(why)
            retry_on |= refused_by.retry_on
            if refused_by.yields(pod, node, why):
                helpable.append(node.name)
    if not feasible:
        return Unplaced(explain(len(cluster.nodes), reasons), retry_on, tuple(helpable))
    if len(feasible) == 1:
        return Placed(feasible[0].name)
    return Placed(_best(pod, cluster, feasible, scores, pick))


def explain(nodes: int, reasons: collections.Counter[str]) -> str:
    """Put the reasons in one line, as kubectl describe shows it."""
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return f"0/{nodes} nodes are available: {listed}." if listed else f"0/{nodes} nodes are available."


def examine(pod: PodInfo, cluster: Cluster, node: NodeInfo, filters: Sequence[Filter]) -> Sequence[str]:
    """Say why one node will not do; empty when it will."""
    checks = [(found, check) for found in filters if (check := found.prepare(pod, cluster)) is not None]
    return _examine(node, checks, NO_RIVALS)[1]


def _examine(
    node: NodeInfo, checks: Sequence[tuple[Filter, Check]], rivals: Mapping[str, Sequence[PodInfo]]
) -> tuple[Filter | None, Sequence[str]]:
    """Ask every filter, with the rivals on the node and without: either may matter to affinity."""
    if others := rivals.get(node.name):
        crowded = node.copy()
        for other in others:
            crowded.add(other)
        refused_by, why = _examine(crowded, checks, NO_RIVALS)
        if refused_by is not None:
            return refused_by, why
    for plugin, check in checks:
        if why := check(node):
            return plugin, why
    return None, ()


def _best(
    pod: PodInfo,
    cluster: Cluster,
    feasible: list[NodeInfo],
    scores: Sequence[Score],
    pick: Callable[[Sequence[str]], str],
) -> str:
    """Rate the nodes by every score and take one of those with the highest weighted sum."""
    totals = [0.0] * len(feasible)
    for plugin in scores:
        rate = plugin.prepare(pod, cluster)
        if rate is None:
            continue
        rates = [rate(node) for node in feasible]
        if plugin.normalize is not None:
            rates = plugin.normalize(rates)
        totals = [total + plugin.weight * score for total, score in zip(totals, rates, strict=True)]
    most = max(totals)
    return pick([node.name for node, total in zip(feasible, totals, strict=True) if total == most])


def _enough(nodes: int) -> int:
    """Say how many feasible nodes end the search: all of few, of many a share that falls as they grow."""
    if nodes <= EXAMINE_ALL:
        return nodes
    percent = max(LEAST_PERCENT, 50 - nodes // 125)
    return max(EXAMINE_ALL, nodes * percent // 100)
