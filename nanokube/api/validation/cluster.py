"""Validation of Nodes. Pure. Source: pkg/apis/core/validation/validation.go, ValidateNode."""

from __future__ import annotations

from typing import Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import names

_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def validate_node(obj: Object) -> list[FieldError]:
    """Check a Node."""
    found: list[FieldError] = []
    seen = set[tuple[str, str]]()
    for index, taint in enumerate(objects.spec(obj).get("taints") or ()):
        path = f"spec.taints[{index}]"
        key, value, effect = taint.get("key") or "", taint.get("value") or "", taint.get("effect") or ""
        found += (field.invalid(f"{path}.key", key, m) for m in names.qualified_name(key))
        found += (field.invalid(f"{path}.value", value, m) for m in names.label_value(value))
        if not effect:
            found.append(field.required(f"{path}.effect"))
        elif effect not in _EFFECTS:
            found.append(field.not_supported(f"{path}.effect", effect, _EFFECTS))
        if (key, effect) in seen:
            error = field.duplicate(path, taint)
            detail = "taints must be unique by key and effect pair"
            found.append(field.FieldError(error.type, error.path, error.value, detail))
        seen.add((key, effect))
    return found


def validate_node_update(new: Object, old: Object) -> list[FieldError]:
    """Check that what identifies a node stayed."""
    spec, before, found = objects.spec(new), objects.spec(old), list[FieldError]()
    if before.get("podCIDRs") and spec.get("podCIDRs") != before["podCIDRs"]:
        found.append(
            field.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
        )
    if before.get("providerID") and spec.get("providerID") != before["providerID"]:
        found.append(
            field.forbidden(
                "spec.providerID", 'node updates may not change providerID except from "" to valid'
            )
        )
    return found
