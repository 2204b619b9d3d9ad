"""Validation of limits, priorities and runtime classes. Pure.

Source: pkg/apis/{core,scheduling,node}/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nanokube.api import field, objects, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import container_resources, formats, metadata, names, scheduling

SYSTEM_PRIORITIES: Final = {
    "system-node-critical": 2_000_001_000,
    "system-cluster-critical": 2_000_000_000,
}
HIGHEST_USER_PRIORITY: Final = 1_000_000_000
_LIMIT_FIELDS: Final = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_LIMIT_TYPES: Final = ("Pod", "Container", "PersistentVolumeClaim")
# lesser, greater, where it is reported, which is shown, how they are called
_ORDERS: Final = (
    ("min", "max", "min", "min", ("min value", "max value")),
    ("min", "defaultRequest", "defaultRequest", "defaultRequest", ("min value", "default request value")),
    ("defaultRequest", "max", "defaultRequest", "defaultRequest", ("default request value", "max value")),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "defaultRequest",
        ("default request value", "default limit value"),
    ),
    ("min", "default", "default", "min", ("min value", "default value")),
    ("default", "max", "default", "max", ("default value", "max value")),
)


def validate_limit_range(obj: Object) -> list[FieldError]:
    """Check a LimitRange."""
    found: list[FieldError] = []
    seen = set[str]()
    for index, item in enumerate(objects.spec(obj).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", item.get("type") or ""
        found += _limit_type(kind, f"{path}.type")
        if kind in seen:
            found.append(field.duplicate(f"{path}.type", kind))
        seen.add(kind)
        found += _limit_names(item, kind, path) + _bounds(item, path)
    return found


def _limit_type(kind: str, path: str) -> list[FieldError]:
    if found := formats.each(names.qualified_name, kind, path):
        return found
    if "/" in kind or kind in _LIMIT_TYPES:
        return []
    return [field.invalid(path, kind, "must be a standard limit type or fully qualified")]


def _limit_names(item: Object, kind: str, path: str) -> list[FieldError]:
    of_pods = kind in ("Pod", "Container")
    check = container_resources.container_name if of_pods else container_resources.resource_name
    found: list[FieldError] = []
    for key in _LIMIT_FIELDS:
        if key == "maxLimitRequestRatio" and kind == "PersistentVolumeClaim":
            found += _claim_limits(item, path)
        if kind == "Pod" and key in ("default", "defaultRequest"):
            if item.get(key):
                detail = "may not be specified when `type` is 'Pod'"
                found.append(field.forbidden(f"{path}.{key}", detail))
            continue
        for name in item.get(key) or ():
            found += check(name, f"{path}.{key}[{name}]")
    return found


def _claim_limits(item: Object, path: str) -> list[FieldError]:
    if any("storage" in (item.get(key) or ()) for key in ("min", "max")):
        return []
    detail = "either minimum or maximum storage value is required, but neither was provided"
    return [field.required(f"{path}.limits", detail)]


def _bounds(item: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    kinds = [
        k for k in _LIMIT_FIELDS if not (item.get("type") == "Pod" and k in ("default", "defaultRequest"))
    ]
    for name in sorted({n for key in kinds for n in item.get(key) or ()}):
        value = {k: quantity.parse(item[k][name]) for k in kinds if name in (item.get(k) or {})}
        for low, high, at, shown, said in _ORDERS:
            if low in value and high in value and value[low] > value[high]:
                detail = f"{said[0]} {value[low]} is greater than {said[1]} {value[high]}"
                found.append(field.invalid(f"{path}.{at}[{name}]", str(value[shown]), detail))
        if "maxLimitRequestRatio" in value:
            found += _ratio(value, f"{path}.maxLimitRequestRatio[{name}]")
        both = [value.get("default"), value.get("defaultRequest")]
        may_exceed = container_resources.is_native(name) and not name.startswith(
            container_resources.HUGEPAGES
        )
        if None not in both and both[0] != both[1] and not may_exceed:
            detail = f"default value {both[0]} must equal to defaultRequest value {both[1]} in {name}"
            found.append(field.invalid(f"{path}.defaultRequest[{name}]", str(both[1]), detail))
    return found


def _ratio(value: Mapping[str, quantity.Quantity], path: str) -> list[FieldError]:
    ratio, found = value["maxLimitRequestRatio"], list[FieldError]()
    if ratio < quantity.parse("1"):
        found.append(field.invalid(path, str(ratio), f"ratio {ratio} is less than 1"))
    if "min" in value and "max" in value:
        low, high = value["min"].amount, value["max"].amount
        most = float(high / low) if low else float("inf")
        if float(ratio.amount) > most:
            detail = f"ratio {ratio} is greater than max/min = {most:f}"
            found.append(field.invalid(path, str(ratio), detail))
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
    policy, known_policies = obj.get("preemptionPolicy"), ("PreemptLowerPriority", "Never")
    if policy is not None and policy not in known_policies:
        found.append(field.not_supported("preemptionPolicy", policy, known_policies))
    return found


def validate_priority_class_update(new: Object, old: Object) -> list[FieldError]:
    """Check that value and policy stayed; nothing else is asked of a change."""
    found: list[FieldError] = []
    if (new.get("value") or 0) != (old.get("value") or 0):
        found.append(field.forbidden("value", "may not be changed in an update."))
    return found + metadata.immutable(
        new.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy"
    )


def validate_runtime_class(obj: Object) -> list[FieldError]:
    """Check a RuntimeClass."""
    found = formats.required_name(obj.get("handler"), names.dns_label, "handler")
    fixed = (obj.get("overhead") or {}).get("podFixed")
    found += container_resources.of_container({"limits": fixed}, "overhead", ())
    placement = obj.get("scheduling") or {}
    found += metadata.labels(placement.get("nodeSelector"), "scheduling.nodeSelector")
    seen: list[tuple[str, ...]] = []
    for index, toleration in enumerate(placement.get("tolerations") or ()):
        path = f"scheduling.tolerations[{index}]"
        found += scheduling.toleration(toleration, path)
        key = tuple(toleration.get(k) or "" for k in ("key", "operator", "value", "effect"))
        if key in seen:
            found.append(field.duplicate(path, _shown_toleration(toleration)))
        seen.append(key)
    return found


def _shown_toleration(toleration: Object) -> field.Struct:
    texts = {name: toleration.get(name.lower()) or "" for name in ("Key", "Operator", "Value", "Effect")}
    return field.Struct({**texts, "TolerationSeconds": toleration.get("tolerationSeconds")})


def validate_runtime_class_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the handler stayed."""
    return metadata.immutable(new.get("handler"), old.get("handler"), "handler")
