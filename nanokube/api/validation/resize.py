"""Validation of pods/resize. Pure. Source: pkg/apis/core/validation/validation.go, ValidatePodResize."""

from __future__ import annotations

from nanokube.api import field, objects, qos
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import pod

_RESIZABLE = ("cpu", "memory")


def validate(new: Object, old: Object) -> list[FieldError]:
    """Check that a resize keeps the class and touches only CPU and memory."""
    found = pod.validate(new)
    was = objects.status(old).get("qosClass") or qos.of(old)
    if qos.of(new) != was:
        found.append(field.invalid("spec", was, "Pod QOS Class may not change as a result of resizing"))
    for key in ("containers", "initContainers"):
        pairs = zip(objects.spec(new).get(key) or (), objects.spec(old).get(key) or (), strict=True)
        for index, (container, before) in enumerate(pairs):
            path = f"spec.{key}[{index}].resources"
            for part in ("requests", "limits"):
                wanted, had = ((c.get("resources") or {}).get(part) or {} for c in (container, before))
                for name in sorted(set(had) - set(wanted)):
                    found.append(
                        field.forbidden(f"{path}.{part}", f"resource {part} cannot be removed: {name}")
                    )
                for name in sorted(wanted):
                    if name not in _RESIZABLE and wanted[name] != had.get(name):
                        detail = "only cpu and memory resources are mutable"
                        found.append(field.forbidden("spec", detail))
    return found
