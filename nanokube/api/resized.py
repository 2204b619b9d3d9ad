"""What a Pod counts for while it is resized: the most of what it asks, was allocated and still has. Pure.

Source: component-helpers resource/helpers.go, determineContainerReqs and determineContainerLimits (KEP-1287).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanokube.api import objects, quantity
from nanokube.api.objects import Object


def spec(pod: Object) -> Object:
    """Return the Pod's spec with each container's requests and limits as they count now."""
    asked, status = objects.spec(pod), objects.status(pod)
    known = {
        each["name"]: each
        for field in ("containerStatuses", "initContainerStatuses")
        for each in status.get(field) or ()
        if each.get("resources")
    }
    if not known:
        return asked
    is_refused = any(
        c["type"] == "PodResizePending" and c.get("reason") == "Infeasible"
        for c in status.get("conditions") or ()
    )
    changed: dict[str, Any] = {}
    for field in ("containers", "initContainers"):
        before = asked.get(field) or []
        after = [_counted(field, c, known.get(c["name"]), is_refused=is_refused) for c in before]
        if any(new is not old for new, old in zip(after, before, strict=True)):
            changed[field] = after
    return {**asked, **changed} if changed else asked


def _counted(field: str, container: Object, status: Object | None, *, is_refused: bool) -> Object:
    if status is None or (field == "initContainers" and container.get("restartPolicy") != "Always"):
        return container
    wants, has = container.get("resources") or {}, status["resources"]
    requests = [has.get("requests") or {}, status.get("allocatedResources") or {}]
    limits = [has.get("limits") or {}]
    counted = {
        "requests": _most(wants.get("requests") or {}, requests, is_refused=is_refused),
        "limits": _most(wants.get("limits") or {}, limits, is_refused=is_refused),
    }
    if all(counted[part] == (wants.get(part) or {}) for part in counted):
        return container
    return {**container, "resources": {**wants, **counted}}


def _most(wanted: Mapping[str, Any], had: list[Mapping[str, Any]], *, is_refused: bool) -> Mapping[str, Any]:
    """Take the largest amount of each name; what is asked in vain does not count where something is had."""
    if all(each == wanted or not each for each in had):
        return wanted
    found = {} if is_refused else dict(wanted)
    for each in had:
        for name, amount in each.items():
            if name not in found or quantity.parse(found[name]) < quantity.parse(amount):
                found[name] = amount
    return {**wanted, **found}
