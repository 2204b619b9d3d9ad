"""Validation of pods/resize. Pure. Source: pkg/apis/core/validation/validation.go, ValidatePodResize."""

from __future__ import annotations

from typing import Any

from nanokube.api import field, objects, qos, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import pod

_RESIZABLE = ("cpu", "memory")
_MIRROR = "kubernetes.io/config.mirror"


def validate(new: Object, old: Object) -> list[FieldError]:
    """Check that a resize keeps the class and touches only CPU and memory."""
    found = pod.validate(new)
    for is_so, what in ((_MIRROR in objects.annotations(old), "static"), (_is_windows(old), "windows")):
        if is_so:
            return [field.forbidden("[]", f"{what} pods cannot be resized")]
    was = objects.status(old).get("qosClass") or qos.of(old)
    if qos.of(new) != was:
        found.append(field.invalid("spec", was, "Pod QOS Class may not change as a result of resizing"))
    if not _is_supported(old):
        found.append(field.forbidden("spec", "Pod running on node without support for resize"))
    kept, had = _amounts(new), _amounts(old)
    for part in ("requests", "limits"):
        if any(key not in kept for key in had if key[0] == part):
            detail = f"pod-level resource {part} cannot be removed"
            found.append(field.forbidden(f"spec.resources.{part}", detail))
    if any(kept.get(key) != had.get(key) for key in {*kept, *had} if key[1] not in _RESIZABLE):
        found.append(field.forbidden("spec", "only cpu and memory resources are mutable at pod-level"))
    if moved := _order(objects.spec(new), objects.spec(old)):
        return found + moved
    return found + [error for key in ("initContainers", "containers") for error in _sizes(new, old, key)]


def _is_windows(pod: Object) -> bool:
    return (objects.spec(pod).get("os") or {}).get("name") == "windows"


def _is_supported(pod: Object) -> bool:
    """Tell whether a Pod's node tells of the resources of what runs, as those do that can resize."""
    statuses = objects.status(pod).get("containerStatuses") or ()
    running = (each for each in statuses if (each.get("state") or {}).get("running") is not None)
    first = next(running, None)
    return first is None or first.get("resources") is not None


def _amounts(pod: Object) -> dict[tuple[str, str], Any]:
    """Return the resources of a Pod itself, by part ("requests", "limits") and name."""
    own = objects.spec(pod).get("resources") or {}
    parts = ("requests", "limits")
    return {(part, name): quantity.parse(n) for part in parts for name, n in (own.get(part) or {}).items()}


def _order(new: Object, old: Object) -> list[FieldError]:
    """Check that the containers of two specs are the same ones."""
    found = []
    for key in ("containers", "initContainers"):
        after, before = new.get(key) or (), old.get(key) or ()
        if len(after) != len(before):
            found.append(field.forbidden(f"spec.{key}", f"{key} may not be added or removed on resize"))
            continue
        for index, (container, was) in enumerate(zip(after, before, strict=True)):
            if container.get("name") != was.get("name"):
                detail = f"{key} may not be renamed or reordered on resize"
                found.append(field.forbidden(f"spec.{key}[{index}].name", detail))
    return found


def _sizes(new: Object, old: Object, key: str) -> list[FieldError]:
    """Check that nothing was removed and that only CPU and memory have changed."""
    found, rest = [], []
    pairs = zip(objects.spec(new).get(key) or (), objects.spec(old).get(key) or (), strict=True)
    for index, (container, before) in enumerate(pairs):
        for part in ("requests", "limits"):
            wanted, had = ((c.get("resources") or {}).get(part) or {} for c in (container, before))
            if set(had) - set(wanted):
                path = f"spec.{key}[{index}].resources.{part}"
                found.append(field.forbidden(path, f"resource {part} cannot be removed"))
        if _changes_more(container, before):
            rest.append(_FIXED if key == "containers" else _fixed_init(index))
    return found + rest


_FIXED = field.forbidden("spec", "only cpu and memory resources are mutable")


def _fixed_init(index: int) -> FieldError:
    detail = "only cpu and memory resources for init or sidecar containers are mutable"
    return field.forbidden(f"spec.initContainers[{index}]", detail)


def _changes_more(new: Object, old: Object) -> bool:
    """Tell whether something else than CPU and memory of a container changes."""
    if (new.get("resizePolicy") or []) != (old.get("resizePolicy") or []):
        return True
    for part in ("requests", "limits"):
        wanted, had = ((c.get("resources") or {}).get(part) or {} for c in (new, old))
        if any(name not in _RESIZABLE and wanted[name] != had.get(name) for name in wanted):
            return True
    return False
