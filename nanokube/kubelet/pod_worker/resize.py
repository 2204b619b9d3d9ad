"""In-place resize: what a Pod was granted, what its containers have, and what lies between. Pure.

    spec (desired) --(the node has room)--> allocated --(runtime and cgroups took it)--> actuated

A worker sees the allocated Pod everywhere. What a container has is an annotation from its creation, and after
an update in place a line of the checkpoint, so that a restarted kubelet knows both.
Source: KEP-1287; pkg/kubelet/kuberuntime/kuberuntime_manager.go computePodResizeAction.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nanokube.kubelet.containers import labels, resources
from nanokube.kubelet.podview import ContainerView, PodView

Object = Mapping[str, Any]
Kind = Literal["cpu", "memory"]
Allocation = Mapping[str, Object]  # resources by container name

KINDS: tuple[Kind, ...] = ("memory", "cpu")  # in this order, as upstream
Amounts = tuple[int, int]  # request, limit


@dataclasses.dataclass(frozen=True, slots=True)
class Update:
    """One container whose amount of one resource changes while it runs."""

    container_id: str
    name: str
    kind: Kind
    now: Object
    wanted: Object

    @property
    def grows(self) -> bool:
        """Tell whether more is given; the limit counts, or if it stays, the request."""
        had, wants = amounts(self.now, self.kind), amounts(self.wanted, self.kind)
        return (wants[1], wants[0]) > (had[1], had[0])

    @property
    def mixed(self) -> Object:
        """Return the container's resources with only this kind changed."""
        mix: dict[str, Any] = {}
        for part in ("requests", "limits"):
            both = {**(self.now.get(part) or {})}
            both.pop(self.kind, None)
            if self.kind in (self.wanted.get(part) or {}):
                both[self.kind] = self.wanted[part][self.kind]
            if both:
                mix[part] = both
        return mix


def resizable(pod: Object) -> Iterator[Object]:
    """Yield the containers that can be resized: all but ephemeral ones."""
    yield from pod["spec"]["containers"]
    yield from pod["spec"].get("initContainers") or ()


def allocation_of(pod: Object) -> dict[str, Object]:
    """Return what a Pod's spec asks for, by container."""
    return {container["name"]: container.get("resources") or {} for container in resizable(pod)}


def differs(pod: Object, allocated: Allocation) -> bool:
    """Tell whether the spec asks for something else than was allocated."""
    return any(
        _changed(container, allocated[container["name"]])
        for container in resizable(pod)
        if container["name"] in allocated
    )


def granted(pod: Object, allocated: Allocation) -> Object:
    """Return the Pod with what it was allocated in place of what it asks for."""
    if not differs(pod, allocated):
        return pod
    spec = dict(pod["spec"])
    for field in ("containers", "initContainers"):
        if spec.get(field):
            spec[field] = [_with(container, allocated) for container in spec[field]]
    return {**pod, "spec": spec}


def _with(container: Object, allocated: Allocation) -> Object:
    if container["name"] not in allocated:
        return container
    return {**container, "resources": allocated[container["name"]]}


def adopted(pod: Object, view: PodView | None) -> dict[str, Object]:
    """Return what a Pod found running was allocated: what its containers were made with, else its spec."""
    found = allocation_of(pod)
    for name in found:
        latest = view.latest(name) if view is not None else None
        if latest is not None and (made_with := labels.made_with(latest.annotations)) is not None:
            found[name] = made_with
    return found


def amounts(asked: Object, kind: Kind) -> Amounts:
    """Return request and limit: thousandths of a CPU, or bytes; 0 when unset."""
    read = resources.milli_cpu if kind == "cpu" else resources.memory_bytes
    return read(asked, "requests"), read(asked, "limits")


def actuated(view: ContainerView, updated: Allocation) -> Object | None:
    """Return what a container has now: as last updated, or as it was made. None: nobody knows."""
    return updated.get(view.id, labels.made_with(view.annotations))


def needs_restart(pod: Object, view: PodView, updated: Allocation) -> frozenset[str]:
    """Name the running containers whose resize policy wants a restart for what changes."""
    return frozenset(
        container["name"]
        for container, has, _ in _unequal(pod, view, updated)
        if any(_restarts(container, kind) for kind in _changed(container, has))
    )


def updates(pod: Object, view: PodView, updated: Allocation) -> tuple[Update, ...]:
    """List what changes in place: memory first; within a resource, what shrinks before what grows."""
    found = []
    restarting = needs_restart(pod, view, updated)
    for container, has, latest in _unequal(pod, view, updated):
        if container["name"] in restarting:
            continue
        wants = container.get("resources") or {}
        found += [Update(latest.id, container["name"], kind, has, wants) for kind in _changed(container, has)]
    return tuple(sorted(found, key=lambda update: (KINDS.index(update.kind), update.grows)))


def _unequal(
    pod: Object, view: PodView, updated: Allocation
) -> Iterator[tuple[Object, Object, ContainerView]]:
    for container in resizable(pod):
        latest = view.latest(container["name"])
        if latest is None or not latest.is_running:
            continue  # it is sized when it starts
        has = actuated(latest, updated)
        if has is not None and _changed(container, has):
            yield container, has, latest


def _changed(container: Object, has: Object) -> list[Kind]:
    wants = container.get("resources") or {}
    if wants == has:
        return []  # as nearly always; reading quantities is not free
    return [kind for kind in KINDS if amounts(wants, kind) != amounts(has, kind)]


def _restarts(container: Object, kind: Kind) -> bool:
    policies = {p["resourceName"]: p["restartPolicy"] for p in container.get("resizePolicy") or ()}
    return policies.get(kind) == "RestartContainer"


def summary(pod: Object, generation: int, error: str = "") -> str:
    """Spell a Pod's resources for an event, as upstream does: JSON of every container."""
    told: dict[str, Any] = {}
    for field in ("initContainers", "containers"):
        if pod["spec"].get(field):
            told[field] = [
                {"name": c["name"], "resources": c.get("resources") or {}} for c in pod["spec"][field]
            ]
    told["generation"] = generation
    if error:
        told["error"] = error
    return json.dumps(told, separators=(",", ":"))
