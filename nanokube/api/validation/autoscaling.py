"""Validation of HorizontalPodAutoscalers as of autoscaling/v2. Pure.

Scaling to zero is behind a gate that is off by default, so only who has it keeps it.
Source: pkg/apis/autoscaling/validation/validation.go, pkg/registry/autoscaling/horizontalpodautoscaler.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import field, objects, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

_KINDS: Final = ("ContainerResource", "External", "Object", "Pods", "Resource")
_SOURCES: Final = ("object", "external", "pods", "resource", "containerResource")
_SELECT: Final = ("Disabled", "Max", "Min")
_POLICIES: Final = ("Percent", "Pods")
_TARGETS: Final = ("Utilization", "Value", "AverageValue")
_MAX_PERIOD_S: Final = 1800
_MAX_WINDOW_S: Final = 3600
_POPULATE: Final = "must populate information for the given metric source"
_RAW_OR_UTILIZATION: Final = "must set either a target raw value or a target utilization"


def validate(obj: Object) -> list[FieldError]:
    """Check a HorizontalPodAutoscaler."""
    return _spec(objects.spec(obj), {})


def validate_replacement(new: Object, old: Object) -> list[FieldError]:
    """Check a HorizontalPodAutoscaler that may keep what the old one already has."""
    return _spec(objects.spec(new), objects.spec(old))


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Check what the controller counted."""
    found: list[FieldError] = []
    for key in ("currentReplicas", "desiredReplicas"):
        found += metadata.non_negative(objects.status(new).get(key), f"status.{key}")
    return found


def _spec(spec: Object, before: Object) -> list[FieldError]:
    least, most, found = spec.get("minReplicas"), spec.get("maxReplicas") or 0, list[FieldError]()
    lowest = 0 if before.get("minReplicas") == 0 else 1
    if least is not None and least < lowest:
        found.append(field.invalid("spec.minReplicas", least, f"must be greater than or equal to {lowest}"))
    if most == 0:
        found.append(field.required("spec.maxReplicas", "must be set and greater than 0"))
    elif most < 0:
        found.append(field.invalid("spec.maxReplicas", most, "must be greater than or equal to 1"))
    if least is not None and most < least:
        detail = "must be greater than or equal to `minReplicas`"
        found.append(field.invalid("spec.maxReplicas", most, detail))
    found += _target_ref(spec.get("scaleTargetRef") or {}, before.get("scaleTargetRef"))
    metrics = spec.get("metrics") or ()
    for index, metric in enumerate(metrics):
        found += _metric(metric, f"spec.metrics[{index}]")
    if least == 0 and not any(m.get("type") in ("Object", "External") for m in metrics):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        found.append(field.forbidden("spec.metrics", detail))
    for key in ("scaleUp", "scaleDown"):
        rules = (spec.get("behavior") or {}).get(key)
        found += _rules(rules, f"spec.behavior.{key}") if rules is not None else []
    return found


def _target_ref(target: Object, before: Object | None) -> list[FieldError]:
    path = "spec.scaleTargetRef"
    if before is not None and all(target.get(k) == before.get(k) for k in ("apiVersion", "kind")):
        return _named(target, path)
    is_core = target.get("kind") == "ReplicationController"
    return _reference(target, path, needs_group=not is_core)


def _named(reference: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for key in ("kind", "name"):
        found += formats.required_name(reference.get(key), formats.path_segment, f"{path}.{key}")
    return found


def _reference(reference: Object, path: str, *, needs_group: bool) -> list[FieldError]:
    found, version = _named(reference, path), reference.get("apiVersion") or ""
    if version.count("/") > 1:
        detail = f"unexpected GroupVersion string: {version}"
        found.append(field.invalid(f"{path}.apiVersion", version, detail))
    elif needs_group and not version.rpartition("/")[0]:
        found.append(field.invalid(f"{path}.apiVersion", version, "apiVersion must specify API group"))
    return found


def _rules(rules: Object, path: str) -> list[FieldError]:
    window, found = rules.get("stabilizationWindowSeconds"), list[FieldError]()
    where = f"{path}.stabilizationWindowSeconds"
    if window is not None and window < 0:
        found.append(field.invalid(where, window, "must be greater than or equal to zero"))
    if window is not None and window > _MAX_WINDOW_S:
        found.append(field.invalid(where, window, f"must be less than or equal to {_MAX_WINDOW_S}"))
    found += formats.optional_choice(rules.get("selectPolicy"), _SELECT, f"{path}.selectPolicy")
    if not rules.get("policies"):
        found.append(field.required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(rules.get("policies") or ()):
        found += _policy(policy, f"{path}.policies[{index}]")
    tolerance = rules.get("tolerance")
    if tolerance is not None and quantity.parse(tolerance) < quantity.parse("0"):
        found.append(field.invalid(f"{path}.tolerance", str(tolerance), metadata.NEGATIVE))
    return found


def _policy(policy: Object, path: str) -> list[FieldError]:
    found = formats.choice(policy.get("type"), _POLICIES, f"{path}.type")
    for key in ("value", "periodSeconds"):
        number = policy.get(key) or 0
        if number <= 0:
            found.append(field.invalid(f"{path}.{key}", number, "must be greater than zero"))
    period = policy.get("periodSeconds") or 0
    if period > _MAX_PERIOD_S:
        detail = f"must be less than or equal to {_MAX_PERIOD_S}"
        found.append(field.invalid(f"{path}.periodSeconds", period, detail))
    return found


def _metric(metric: Object, path: str) -> list[FieldError]:
    kind, found = metric.get("type") or "", list[FieldError]()
    if not kind:
        found.append(field.required(f"{path}.type", "must specify a metric source type"))
    # twice, as upstream has it: as a value outside the list, and as the default of a switch
    found += formats.choice(kind, _KINDS, f"{path}.type")
    present = [key for key in _SOURCES if metric.get(key) is not None]
    if present:
        found += _CHECKS[present[0]](metric[present[0]], f"{path}.{present[0]}")
    expected = kind[:1].lower() + kind[1:]
    if kind not in _KINDS:
        found += formats.choice(kind, _KINDS, f"{path}.type")
    elif expected not in present:
        found.append(field.required(f"{path}.{expected}", _POPULATE))
    if len(present) != 1:
        detail = "must populate the given metric source only"
        found += (field.forbidden(f"{path}.{key}", detail) for key in present if key != expected)
    return found


def _object(source: Object, path: str) -> list[FieldError]:
    found = _reference(source.get("describedObject") or {}, f"{path}.describedObject", needs_group=False)
    found += _identified(source, path)
    target = source.get("target") or {}
    if target.get("value") is None and target.get("averageValue") is None:
        detail = "must set either a target value or averageValue"
        found.append(field.required(f"{path}.target.averageValue", detail))
    return found


def _external(source: Object, path: str) -> list[FieldError]:
    found, target = _identified(source, path), source.get("target") or {}
    value, average = target.get("value"), target.get("averageValue")
    if value is None and average is None:
        detail = "must set either a target value for metric or a per-pod target"
        found.append(field.required(f"{path}.target.averageValue", detail))
    if value is not None and average is not None:
        detail = "may not set both a target value for metric and a per-pod target"
        found.append(field.forbidden(f"{path}.target.value", detail))
    return found


def _pods(source: Object, path: str) -> list[FieldError]:
    found = _identified(source, path)
    if (source.get("target") or {}).get("averageValue") is None:
        detail = "must specify a positive target averageValue"
        found.append(field.required(f"{path}.target.averageValue", detail))
    return found


def _resource(source: Object, path: str) -> list[FieldError]:
    found = [] if source.get("name") else [field.required(f"{path}.name", "must specify a resource name")]
    return found + _utilization(source.get("target") or {}, f"{path}.target")


def _container_resource(source: Object, path: str) -> list[FieldError]:
    name, container = source.get("name") or "", source.get("container") or ""
    if not name:
        found = [field.required(f"{path}.name", "must specify a resource name")]
    else:
        found = formats.each(names.qualified_name, name, f"{path}.name")
    if not container:
        found.append(field.required(f"{path}.container", "must specify a container"))
    else:
        found += formats.each(names.dns_label, container, f"{path}.container")
    return found + _utilization(source.get("target") or {}, f"{path}.target")


_CHECKS: Final = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}


def _utilization(target: Object, path: str) -> list[FieldError]:
    found = _target(target, path)
    utilization, average = target.get("averageUtilization"), target.get("averageValue")
    if utilization is None and average is None:
        found.append(field.required(f"{path}.averageUtilization", _RAW_OR_UTILIZATION))
    if utilization is not None and average is not None:
        detail = "may not set both a target raw value and a target utilization"
        found.append(field.forbidden(f"{path}.averageValue", detail))
    return found


def _identified(source: Object, path: str) -> list[FieldError]:
    name = (source.get("metric") or {}).get("name") or ""
    if not name:
        found = [field.required(f"{path}.metric.name", "must specify a metric name")]
    else:
        found = formats.each(formats.path_segment, name, f"{path}.metric.name")
    return found + _target(source.get("target") or {}, f"{path}.target")


def _target(target: Object, path: str) -> list[FieldError]:
    kind, found = target.get("type") or "", list[FieldError]()
    if not kind:
        found.append(field.required(f"{path}.type", "must specify a metric target type"))
    if kind not in _TARGETS:
        found.append(
            field.invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
        )
    for key in ("value", "averageValue"):
        amount: Any = target.get(key)
        if amount is not None and quantity.parse(amount) <= quantity.parse("0"):
            found.append(field.invalid(f"{path}.{key}", str(amount), "must be positive"))
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        found.append(field.invalid(f"{path}.averageUtilization", utilization, "must be greater than 0"))
    return found
