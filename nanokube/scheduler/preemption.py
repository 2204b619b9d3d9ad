"""Making room: which Pods of lower priority to end, and where, so that a Pod fits. Pure.

On each node that priority can help, every lower Pod is thought away; if the Pod fits then, the others come
back one by one, the most important first, and those with which it does not fit are the victims. Among nodes
the one is best that breaks the fewest disruption budgets, then whose victims matter least.
Source: pkg/scheduler/framework/preemption/preemption.go, plugins/defaultpreemption/default_preemption.go.
"""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.api import objects, selectors, timestamps
from nanokube.api.objects import Object
from nanokube.scheduler import cycle, profile
from nanokube.scheduler.framework import Filter
from nanokube.scheduler.model import Cluster, NodeInfo, PodInfo

REASON = "PreemptionByScheduler"
NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
LEAST_CANDIDATES = 100  # default_preemption.go: MinCandidateNodesAbsolute
CANDIDATES_SHARE = 10  # percent: MinCandidateNodesPercentage


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """Where a Pod fits once the victims, the most important first, are gone."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class NoRoom:
    """Why nothing can be done, as the tail of the scheduler's message.

    is_waiting: room made before for this Pod is still being cleared.
    """

    message: str
    is_waiting: bool = False


def find(
    pod: PodInfo,
    cluster: Cluster,
    helpable: Sequence[str],
    budgets: Sequence[Object] = (),
    *,
    nominated: str = "",
    filters: Sequence[Filter] = profile.FILTERS,
    start: int = 0,
) -> Room | NoRoom:
    """Find the least harmful room.

    helpable: names of the nodes where fewer Pods might help. nominated: where room was made for it before.
    """
    if pod.spec.get("preemptionPolicy") == "Never":
        return NoRoom("preemption: not eligible due to preemptionPolicy=Never.")
    if _is_being_cleared(pod, cluster, nominated):
        message = "preemption: not eligible due to a terminating pod on the nominated node."
        return NoRoom(message, is_waiting=True)
    names = set(helpable)
    chosen = [node for node in cluster.nodes if node.name in names]
    reasons: collections.Counter[str] = collections.Counter()
    if len(cluster.nodes) > len(chosen):
        reasons[NOT_HELPFUL] = len(cluster.nodes) - len(chosen)
    enough = max(LEAST_CANDIDATES, len(chosen) * CANDIDATES_SHARE // 100)
    found: list[Room] = []
    for offset in range(len(chosen)):
        room = _on_node(pod, cluster, chosen[(start + offset) % len(chosen)], budgets, filters)
        if isinstance(room, Room):
            found.append(room)
            if len(found) >= enough and any(not each.violations for each in found):
                break
        else:
            reasons.update(room)
    if found:
        return min(found, key=_harm)
    return NoRoom(f"preemption: {cycle.explain(len(cluster.nodes), reasons)}")


def is_ending_for_another(pod: Object) -> bool:
    """Tell whether a Pod is being deleted because it was preempted."""
    condition = objects.condition(pod, "DisruptionTarget") or {}
    ours = condition.get("status") == "True" and condition.get("reason") == REASON
    return objects.is_deleting(pod) and ours


def _is_being_cleared(pod: PodInfo, cluster: Cluster, nominated: str) -> bool:
    return any(
        other.priority < pod.priority and is_ending_for_another(other.obj)
        for node in cluster.nodes
        if node.name == nominated
        for other in node.pods.values()
    )


def _on_node(
    pod: PodInfo, cluster: Cluster, node: NodeInfo, budgets: Sequence[Object], filters: Sequence[Filter]
) -> Room | Sequence[str]:
    lower = sorted((other for other in node.pods.values() if other.priority < pod.priority), key=_importance)
    if not lower:
        return (NO_VICTIMS,)
    trial = node.copy()
    for other in lower:
        trial.remove(other.uid)
    imagined = dataclasses.replace(cluster, nodes=[trial if each is node else each for each in cluster.nodes])
    if why := cycle.examine(pod, imagined, trial, filters):
        return why
    protected, others = _split_protected(lower, budgets)
    victims: list[PodInfo] = []
    violations = 0
    for other in [*protected, *others]:
        trial.add(other)
        if cycle.examine(pod, imagined, trial, filters):
            trial.remove(other.uid)
            victims.append(other)
            violations += any(other is each for each in protected)
    return Room(node.name, tuple(sorted(victims, key=_importance)), violations)


def _split_protected(
    candidates: Sequence[PodInfo], budgets: Sequence[Object]
) -> tuple[list[PodInfo], list[PodInfo]]:
    """Tell the Pods whose end would break a disruption budget from the others."""
    compiled = [
        (
            objects.namespace(budget),
            selectors.from_object(objects.spec(budget).get("selector")),
            objects.status(budget).get("disruptedPods") or {},
        )
        for budget in budgets
        if objects.spec(budget).get("selector")
    ]
    allowed = [
        int(objects.status(budget).get("disruptionsAllowed") or 0)
        for budget in budgets
        if objects.spec(budget).get("selector")
    ]
    protected: list[PodInfo] = []
    others: list[PodInfo] = []
    for pod in candidates:
        breaks = False
        for number, (namespace, selector, disrupted) in enumerate(compiled):
            if namespace != pod.namespace or not pod.labels or not selector.matches(pod.labels):
                continue
            if objects.name(pod.obj) not in disrupted:
                allowed[number] -= 1
                breaks = breaks or allowed[number] < 0
        (protected if breaks else others).append(pod)
    return protected, others


def _importance(pod: PodInfo) -> tuple[int, float, str]:
    """Sort key: higher priority first, then the one that has run longer."""
    return -pod.priority, _started(pod.obj), pod.key


def _started(pod: Mapping[str, Any]) -> float:
    text = objects.status(pod).get("startTime")
    return timestamps.parse(text) if text else math.inf


def _harm(room: Room) -> tuple[Any, ...]:
    """Sort key: the least harmful room first."""
    highest = room.victims[0].priority if room.victims else 0
    top = [_started(victim.obj) for victim in room.victims if victim.priority == highest]
    return (
        room.violations,
        highest,
        # Each victim counts, of however low a priority: hence the offset.
        sum(victim.priority + 2**31 for victim in room.victims),
        len(room.victims),
        -min(top, default=0.0),
    )
