"""Which Pods of a DaemonSet to create and to delete, and its status. Pure.

Source: pkg/controller/daemon/{daemon_controller,update}.go.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.client.events import EventType
from nanokube.controllers import daemonset_pods, pods

BURST = 250  # daemon_controller.go: BurstReplicas
PodsByNode = dict[str, list[dict[str, Any]]]


@dataclasses.dataclass(slots=True)
class Plan:
    """Nodes that get a Pod, Pods that go, what to tell. failed: nodes where a failed Pod is replaced."""

    create: list[str] = dataclasses.field(default_factory=list)
    delete: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    events: list[tuple[EventType, str, str]] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)
    again_s: float | None = None

    @property
    def is_idle(self) -> bool:
        return not self.create and not self.delete


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """A DaemonSet among its nodes. back_off: seconds for which failed Pods of a node are left alone."""

    daemonset: Object
    nodes: Sequence[Object]
    owned: Sequence[dict[str, Any]]
    hashed: str
    now: float
    back_off: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def min_ready_s(self) -> int:
        return int(objects.spec(self.daemonset).get("minReadySeconds") or 0)

    def is_available(self, pod: Object) -> bool:
        return pods.is_available(pod, self.min_ready_s, self.now)

    def is_updated(self, pod: Object) -> bool:
        return daemonset_pods.is_updated(self.daemonset, pod, self.hashed)

    def wants(self, node: Object) -> bool:
        return daemonset_pods.placement_on(self.daemonset, node)[0]

    @property
    def wanted(self) -> int:
        """How many nodes shall have a Pod."""
        return sum(self.wants(node) for node in self.nodes)


def plan(view: View) -> Plan:
    """Decide one step: first every node its Pod, then, when that is so, the next step of an update."""
    todo = Plan()
    placed = daemonset_pods.by_node(view.owned)
    for node in view.nodes:
        _keep(view, node, placed.get(objects.name(node), []), todo)
    names = {objects.name(node) for node in view.nodes}
    for name, found in placed.items():
        if name not in names:  # on a vanished node the Pod collector takes those that were bound
            todo.delete += [pod for pod in found if not objects.spec(pod).get("nodeName")]
    strategy = objects.spec(view.daemonset).get("updateStrategy") or {}
    if todo.is_idle and strategy.get("type", "RollingUpdate") == "RollingUpdate":
        _roll(view, placed, todo)
    todo.create, todo.delete = todo.create[:BURST], todo.delete[:BURST]
    return todo


def _keep(view: View, node: Object, found: Sequence[dict[str, Any]], todo: Plan) -> None:
    """See to it that a node has the Pods it shall have."""
    starts, goes_on = daemonset_pods.placement_on(view.daemonset, node)
    if starts and not found:
        todo.create.append(objects.name(node))
    elif goes_on:
        running = _without_ended(view, node, found, todo)
        if daemonset_pods.bounds(view.daemonset, 1)[0] == 0:
            todo.delete += running[1:]
        elif not running and starts:
            todo.create.append(objects.name(node))
        elif len(running) > 1:
            todo.delete += _outrun(view, running)
    else:
        todo.delete += [pod for pod in found if not objects.is_deleting(pod)]


def _without_ended(
    view: View, node: Object, found: Sequence[dict[str, Any]], todo: Plan
) -> list[dict[str, Any]]:
    """Have ended Pods deleted, failed ones not too often; give the others."""
    running: list[dict[str, Any]] = []
    name = objects.name(node)
    for pod in found:
        phase = pods.phase(pod)
        if objects.is_deleting(pod):
            continue
        if phase == "Failed":
            wait_s = view.back_off.get(name, 0.0)
            if wait_s > 0:
                todo.again_s = min(wait_s, todo.again_s or wait_s)
                continue
            message = f"Found failed daemon pod {objects.key(pod)} on node {name}, will try to kill it"
            todo.events.append(("Warning", "FailedDaemonPod", message))
            todo.failed.append(name)
            todo.delete.append(pod)
        elif phase == "Succeeded":
            message = f"Found succeeded daemon pod {objects.key(pod)} on node {name}, will try to delete it"
            todo.events.append(("Normal", "SucceededDaemonPod", message))
            todo.delete.append(pod)
        else:
            running.append(pod)
    return running


def _outrun(view: View, running: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose, of several Pods while surging, what is one too many or was replaced."""
    new = [pod for pod in running if view.is_updated(pod)]
    old = [pod for pod in running if not view.is_updated(pod)]
    gone = new[1:] + old[1:]
    if new and old and (not pods.is_ready(old[0]) or view.is_available(new[0])):
        gone.append(old[0])
    return gone


def _roll(view: View, placed: PodsByNode, todo: Plan) -> None:
    wanted = view.wanted
    surge, unavailable = daemonset_pods.bounds(view.daemonset, wanted)
    if wanted and not surge and not unavailable:
        unavailable = 1
    for node in view.nodes:
        if view.wants(node):
            placed.setdefault(objects.name(node), [])
    if surge:
        _surge(view, placed, surge, wanted, todo)
    else:
        _replace(view, placed, unavailable, todo)


def _pair(view: View, found: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    living = [pod for pod in found if not objects.is_deleting(pod)]
    new = [pod for pod in living if view.is_updated(pod)]
    return new, [pod for pod in living if not view.is_updated(pod)]


def _replace(view: View, placed: PodsByNode, unavailable: int, todo: Plan) -> None:
    """Delete old Pods: those that serve nobody at once, others while few enough are away."""
    away, candidates = 0, []
    for found in placed.values():
        new, old = _pair(view, found)
        if len(new) + len(old) != 1:
            away += 1
        elif new:
            away += not view.is_available(new[0])
        elif view.is_available(old[0]):
            candidates.append(old[0])
        else:
            away += 1
            todo.delete.append(old[0])
    todo.delete += candidates[: max(0, unavailable - away)]


def _surge(view: View, placed: PodsByNode, surge: int, wanted: int, todo: Plan) -> None:
    """Create new Pods beside old ones; delete an old one once its successor is available."""
    nodes = {objects.name(node): node for node in view.nodes}
    surging, available = 0, 0
    candidates: list[str] = []
    misplaced: list[dict[str, Any]] = []
    for name, found in placed.items():
        new, old = _pair(view, found)
        if len(new) > 1 or len(old) > 1:
            surging += 1
            continue
        available += any(view.is_available(pod) for pod in (old or new))
        if old and new:
            if view.is_available(new[0]):
                todo.delete.append(old[0])
            else:
                surging += 1
        elif old and not (name in nodes and view.wants(nodes[name])):
            (misplaced if view.is_available(old[0]) else todo.delete).append(old[0])
        elif old and view.is_available(old[0]):
            candidates.append(name)
        elif old:
            todo.create.append(name)
    todo.delete += misplaced[: max(0, available - wanted)]
    todo.create += candidates[: max(0, surge - surging)]


def status(view: View) -> tuple[dict[str, Any], float | None]:
    """Count; give the status, and the seconds until the next ready Pod becomes available."""
    placed = daemonset_pods.by_node(view.owned)
    wanted = current = misplaced = ready = available = updated = 0
    waits: list[float] = []
    for node in view.nodes:
        found = placed.get(objects.name(node)) or []
        if not view.wants(node):
            misplaced += bool(found)
            continue
        wanted += 1
        if not found:
            continue
        current += 1
        updated += view.is_updated(found[0])
        wait_s = pods.available_in(found[0], view.min_ready_s, view.now)
        ready += wait_s is not None
        available += wait_s == 0
        if wait_s:
            waits.append(wait_s)
    counted: dict[str, Any] = {
        **objects.status(view.daemonset),
        "currentNumberScheduled": current,
        "numberMisscheduled": misplaced,
        "desiredNumberScheduled": wanted,
        "numberReady": ready,
    }
    counted |= {"observedGeneration": objects.generation(view.daemonset)}
    optional = {
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": wanted - available,
    }
    for field, count in optional.items():
        counted.pop(field, None)
        if count:
            counted[field] = count
    return counted, min(waits, default=None)
