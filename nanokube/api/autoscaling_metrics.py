"""Metrics as autoscaling/v1 hides them in annotations, and as autoscaling/v2 has them. Pure.

v1's shapes are those of v2beta1: what v2 nests below `metric`, `target` and `current` is flat there, and a
quantity that may not be left out is "0". Behavior is written with the names of Go's fields.
Source: pkg/apis/autoscaling/v1/conversion.go, staging/src/k8s.io/api/autoscaling/v1/types.go.
"""

from __future__ import annotations

from typing import Any, Final

_SELECTORS: Final = {"object": "selector", "pods": "selector", "external": "metricSelector"}
_RESOURCES: Final = ("resource", "containerResource")
_SOURCES: Final = ("object", "pods", "resource", "containerResource", "external")
_BEHAVIOR: Final = ("ScaleUp", "ScaleDown")
_RULES: Final = ("StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance")
_POLICY: Final = ("Type", "Value", "PeriodSeconds")


def spec_to_v1(metric: dict[str, Any]) -> dict[str, Any]:
    """Flatten an item of spec.metrics."""
    return _flat(metric, "target")


def status_to_v1(metric: dict[str, Any]) -> dict[str, Any]:
    """Flatten an item of status.currentMetrics."""
    return _flat(metric, "current")


def spec_to_v2(metric: dict[str, Any]) -> dict[str, Any]:
    """Nest an item of v1's annotation. Raises AttributeError or TypeError if it is none."""
    return _nested(metric, "target")


def status_to_v2(metric: dict[str, Any]) -> dict[str, Any]:
    """Nest an item of v1's annotation. Raises AttributeError or TypeError if it is none."""
    return _nested(metric, "current")


def _flat(metric: dict[str, Any], side: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": metric.get("type", "")}
    for source in _SOURCES:
        if metric.get(source) is not None:
            found[source] = _flat_source(source, metric[source], side)
    return found


def _flat_source(source: str, given: dict[str, Any], side: str) -> dict[str, Any]:
    values, metric = given.get(side) or {}, given.get("metric") or {}
    found: dict[str, Any] = {}
    if source in _RESOURCES:
        found = {"name": given.get("name", "")}
        found |= _set(f"{side}AverageUtilization", values.get("averageUtilization"))
        found |= _quantity(f"{side}AverageValue", values.get("averageValue"), is_needed=side == "current")
        return found | _set("container", given.get("container"))
    if source == "object":
        target = given.get("describedObject") or {}
        found["target"] = {key: target.get(key, "") for key in ("kind", "name")}
        found["target"] |= _set("apiVersion", target.get("apiVersion"))
    found["metricName"] = metric.get("name", "")
    selector = _set(_SELECTORS[source], metric.get("selector"))
    if source == "external":
        value = _quantity(f"{side}Value", values.get("value"), is_needed=side == "current")
        return found | selector | value | _set(f"{side}AverageValue", values.get("averageValue"))
    if source == "pods":
        return found | _quantity(f"{side}AverageValue", values.get("averageValue")) | selector
    average = _set("averageValue", values.get("averageValue"))
    return found | _quantity(f"{side}Value", values.get("value")) | selector | average


def _nested(metric: dict[str, Any], side: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": metric.get("type", "")}
    for source in _SOURCES:
        if metric.get(source) is not None:
            found[source] = _nested_source(source, metric[source], side)
    return found


def _nested_source(source: str, given: dict[str, Any], side: str) -> dict[str, Any]:
    if source in _RESOURCES:
        utilization = given.get(f"{side}AverageUtilization")
        average = _quantity("averageValue", given.get(f"{side}AverageValue"), is_needed=side == "current")
        kind = "AverageValue" if utilization is None else "Utilization"
        values = average | _set("averageUtilization", utilization)
        named = {"name": given.get("name", "")} | _set("container", given.get("container"))
        return {**named, side: _typed(side, kind, values)}
    metric = {"name": given.get("metricName", "")} | _set("selector", given.get(_SELECTORS[source]))
    found: dict[str, Any] = {"metric": metric}
    if source == "pods":
        values = _quantity("averageValue", given.get(f"{side}AverageValue"))
        return {**found, side: _typed(side, "AverageValue", values)}
    averaged = given.get("averageValue" if source == "object" else f"{side}AverageValue")
    value = given.get(f"{side}Value")
    if source == "object":
        found["describedObject"] = given.get("target") or {}
        is_average = averaged is not None
        if side == "target" and is_average and value == "0":
            value = None
    else:
        is_average = value is None
    is_needed = side == "current" or (source == "object" and not is_average)
    values = _quantity("value", value, is_needed=is_needed) | _set("averageValue", averaged)
    return {**found, side: _typed(side, "AverageValue" if is_average else "Value", values)}


def _typed(side: str, kind: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, **values} if side == "target" else values


def _set(key: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {key: value}


def _quantity(key: str, value: Any, *, is_needed: bool = True) -> dict[str, Any]:
    return _set(key, "0" if value is None and is_needed else value)


def behavior_to_v1(behavior: dict[str, Any]) -> dict[str, Any]:
    """Name the fields of spec.behavior as Go does, those that are not set, too."""
    found: dict[str, Any] = {}
    for key in _BEHAVIOR:
        rules = behavior.get(_lower(key))
        found[key] = None if rules is None else {name: rules.get(_lower(name)) for name in _RULES}
        if rules is not None and rules.get("policies"):
            listed = [{name: policy.get(_lower(name)) for name in _POLICY} for policy in rules["policies"]]
            found[key]["Policies"] = listed
    return found


def behavior_to_v2(behavior: Any) -> Any:
    """Name the fields as JSON does; what is null is not set."""
    if isinstance(behavior, dict):
        given = behavior.items()
        return {_lower(key): behavior_to_v2(value) for key, value in given if value is not None}
    return [behavior_to_v2(each) for each in behavior] if isinstance(behavior, list) else behavior


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
