"""Strategy of Pods, and the binding subresource. Pure. Source: pkg/registry/core/pod/strategy.go."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from nanokube.api import errors, objects, qos, resources
from nanokube.api.objects import Object
from nanokube.api.strategy.rules import Rules

_DEFAULT_GRACE_S: Final = 30


class PodRules(Rules):
    """A Pod starts Pending with its class; its grace period is its own."""

    status_keeps_metadata = ("ownerReferences",)

    def on_create(self, obj: dict[str, Any]) -> None:
        """Set phase and class, and hold a gated Pod back from the scheduler."""
        obj["status"] = {"phase": "Pending", "qosClass": qos.of(obj)}
        if obj["spec"].get("schedulingGates"):
            obj["status"]["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                    "lastTransitionTime": objects.creation_timestamp(obj),
                }
            ]

    def on_status_update(self, new: dict[str, Any], old: Object) -> None:
        """The status needs a class, and no writer clears what generation was seen."""
        kept = objects.status(old).get("qosClass")
        if kept and not (new.get("status") or {}).get("qosClass"):
            new.setdefault("status", {})["qosClass"] = kept
        _keep_generations(new.setdefault("status", {}), objects.status(old))

    def grace_period(self, obj: Object, requested: int | None) -> int:
        """Return the period asked for or the Pod's own; a Pod that never ran or has ended goes at once."""
        spec = objects.spec(obj)
        if not spec.get("nodeName") or objects.status(obj).get("phase") in ("Succeeded", "Failed"):
            return 0
        period = (
            spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_S) if requested is None else requested
        )
        # a negative period means at once, but still through the kubelet
        return max(int(period), 1) if period < 0 else int(period)


RULES: Final = PodRules()


def _keep_generations(status: dict[str, Any], old: Object) -> None:
    """Keep observedGeneration where a writer left it out; conditions of one type go by their order."""
    if old.get("observedGeneration"):
        status["observedGeneration"] = status.get("observedGeneration") or old["observedGeneration"]
    known: dict[str, list[int]] = {}
    for condition in old.get("conditions") or ():
        known.setdefault(condition.get("type", ""), []).append(condition.get("observedGeneration") or 0)
    for index, condition in enumerate(status.get("conditions") or ()):
        seen = known.get(condition.get("type", ""))
        generation = seen.pop(0) if seen else 0
        if generation and not condition.get("observedGeneration"):
            status["conditions"][index] = {**condition, "observedGeneration": generation}


def bind(pod: dict[str, Any], binding: Object, *, now: str) -> None:
    """Assign a Pod to the node of a Binding, in place. Raises ApiError: bound, being deleted or gated.

    Source: pkg/registry/core/pod/storage/storage.go, setPodNodeAndMetadata.
    """
    resource, name = resources.get("pods"), objects.name(pod)
    target = binding.get("target") or {}
    if target.get("kind") not in ("", None, "Node") or not target.get("name"):
        raise errors.bad_request("target.kind must be Node and target.name must be set")
    wanted = objects.uid(binding)
    if wanted and wanted != objects.uid(pod):
        cause = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {objects.uid(pod)}"
        raise errors.conflict(resource, name, cause)
    resource = dataclasses.replace(resource, plural="pods/binding")
    spec = pod["spec"]
    if objects.is_deleting(pod):
        raise errors.conflict(resource, name, f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        cause = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
        raise errors.conflict(resource, name, cause)
    if spec.get("schedulingGates"):
        raise errors.conflict(resource, name, f"pod {name} has non-empty .spec.schedulingGates")
    spec["nodeName"] = target["name"]
    annotations = objects.annotations(binding)
    if annotations:
        pod["metadata"].setdefault("annotations", {}).update(annotations)
    _set_scheduled(pod.setdefault("status", {}), now)


def _set_scheduled(status: dict[str, Any], now: str) -> None:
    conditions = [c for c in status.get("conditions", ()) if c.get("type") != "PodScheduled"]
    conditions.append({"type": "PodScheduled", "status": "True", "lastTransitionTime": now})
    status["conditions"] = conditions


def resize(spec: dict[str, Any], wanted: Object) -> None:
    """Take over the resources of containers from another spec of the same Pod, in place.

    Containers that are not the same, one by one, are taken as they are: validation refuses them.
    Source: pkg/registry/core/pod/strategy.go, dropNonResizeUpdates.
    """
    lists = ("containers", "initContainers")
    is_longer = any(len(spec.get(key) or ()) != len(wanted.get(key) or ()) for key in lists)
    for key in lists:
        before, after = spec.get(key) or (), wanted.get(key) or ()
        if is_longer or [c.get("name") for c in before] != [c.get("name") for c in after]:
            spec[key] = list(after)
            continue
        for container, new in zip(before, after, strict=True):
            if new.get("resources") or container.get("resources"):
                container["resources"] = new.get("resources") or {}
            if "resizePolicy" in new:
                container["resizePolicy"] = new["resizePolicy"]
    if spec.get("resources") or wanted.get("resources"):
        spec["resources"] = wanted.get("resources") or {}
