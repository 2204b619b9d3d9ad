"""Validation of limits, priorities and runtime classes. Pure.

Source: pkg/apis/{core,scheduling,node}/validation/validation.go.
"""

from __future__ import annotations

from typing import Final

from nanokube.api import field, objects, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names, scheduling

SYSTEM_PRIORITIES: Final = {
    "system-node-critical": 2_000_001_000,
    "system-cluster-critical": 2_000_000_000,
}
HIGHEST_USER_PRIORITY: Final = 1_000_000_000
_LIMIT_FIELDS: Final = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_POD_RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")


def validate_limit_range(obj: Object) -> list[FieldError]:
    """Check a LimitRange."""
    found: list[FieldError] = []
    seen = set[str]()
    for index, item in enumerate(objects.spec(obj).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", item.get("type") or ""
        if kind in seen:
            found.append(field.duplicate(f"{path}.type", kind))
        seen.add(kind)
        if kind == "Pod":
            for key in ("default", "defaultRequest"):
                if item.get(key):
                    found.append(
                        field.forbidden(f"{path}.{key}", "may not be specified when `type` is 'Pod'")
                    )
        found += _bounds(item, path)
    return found


def _bounds(item: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name in sorted({n for key in _LIMIT_FIELDS for n in item.get(key) or ()}):
        value = {k: quantity.parse(item[k][name]) for k in _LIMIT_FIELDS if name in (item.get(k) or {})}
        for low, high in (
            ("min", "max"),
            ("defaultRequest", "max"),
            ("min", "defaultRequest"),
            ("min", "default"),
            ("default", "max"),
            ("defaultRequest", "default"),
        ):
            if low in value and high in value and value[high] < value[low]:
                at = high if low == "min" and high in ("default", "defaultRequest") else low
                said = {
                    "min": "min value",
                    "max": "max value",
                    "default": "default limit value",
                    "defaultRequest": "default request value",
                }
                if low == "min" and high != "max":
                    detail = f"{said[low]} {value[low]} is greater than {said[high]} {value[high]}"
                else:
                    detail = f"{said[low]} {value[low]} is greater than {said[high]} {value[high]}"
                found.append(field.invalid(f"{path}.{at}[{name}]", str(value[at]), detail))
    return found


def validate_priority_class(obj: Object) -> list[FieldError]:
    """Check a PriorityClass."""
    name, value, found = objects.name(obj), obj.get("value") or 0, list[FieldError]()
    if name.startswith("system-"):
        if SYSTEM_PRIORITIES.get(name) != value or obj.get("globalDefault"):
            known = name in SYSTEM_PRIORITIES
            cause = (
                f"value of {name} PriorityClass must be {SYSTEM_PRIORITIES.get(name)}"
                if known
                else f"{name} is not a known system priority class"
            )
            detail = (
                f"priority class names with 'system-' prefix are reserved for system use only. error: {cause}"
            )
            found.append(field.forbidden("metadata.name", detail))
    elif value > HIGHEST_USER_PRIORITY:
        detail = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
        found.append(field.forbidden("value", detail))
    policy, known_policies = obj.get("preemptionPolicy"), ("Never", "PreemptLowerPriority")
    if policy is not None and policy not in known_policies:
        found.append(field.not_supported("preemptionPolicy", policy, known_policies))
    return found


def validate_priority_class_update(new: Object, old: Object) -> list[FieldError]:
    """Check that value and policy stayed."""
    found: list[FieldError] = []
    if (new.get("value") or 0) != (old.get("value") or 0):
        found.append(field.forbidden("value", "may not be changed in an update."))
    return found + metadata.immutable(
        new.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy"
    )


def validate_runtime_class(obj: Object) -> list[FieldError]:
    """Check a RuntimeClass."""
    found = formats.required_name(obj.get("handler"), names.dns_label, "handler")
    for name, amount in ((obj.get("overhead") or {}).get("podFixed") or {}).items():
        found += _overhead(name, amount, f"overhead.limits[{name}]")
    placement = obj.get("scheduling") or {}
    found += metadata.labels(placement.get("nodeSelector"), "scheduling.nodeSelector")
    seen: list[tuple[str, ...]] = []
    for index, toleration in enumerate(placement.get("tolerations") or ()):
        path = f"scheduling.tolerations[{index}]"
        found += scheduling.toleration(toleration, path)
        key = tuple(toleration.get(k) or "" for k in ("key", "operator", "value", "effect"))
        if key in seen:
            found.append(field.duplicate(path, toleration))
        seen.append(key)
    return found


def _overhead(name: str, amount: str, path: str) -> list[FieldError]:
    found = formats.each(names.qualified_name, name, path)
    if "/" not in name and not found and not name.startswith("hugepages-") and name not in _POD_RESOURCES:
        found.append(field.invalid(path, name, "must be a standard resource for containers"))
    if quantity.parse(amount) < quantity.parse("0"):
        found.append(field.invalid(path, str(amount), metadata.NEGATIVE))
    return found


def validate_runtime_class_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the handler stayed."""
    return metadata.immutable(new.get("handler"), old.get("handler"), "handler")
