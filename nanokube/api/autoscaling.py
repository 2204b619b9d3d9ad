"""autoscaling/v1 as a view of autoscaling/v2: a CPU target is a metric, the rest hides in annotations. Pure.

Source: pkg/apis/autoscaling/v1/conversion.go, pkg/apis/autoscaling/annotations.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from nanokube.api import autoscaling_metrics, errors, objects, schema

METRICS: Final = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT: Final = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS: Final = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR: Final = "autoscaling.alpha.kubernetes.io/behavior"
_V1_TARGET: Final = "targetCPUUtilizationPercentage"
_V1_CURRENT: Final = "currentCPUUtilizationPercentage"


_CONDITION: Final = ("type", "status", "lastTransitionTime", "reason", "message")


def to_v1(obj: dict[str, Any]) -> dict[str, Any]:
    """Show a v2 object as v1."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    metrics, current = spec.pop("metrics", None) or [], status.pop("currentMetrics", None) or []
    behavior, conditions = spec.pop("behavior", None), status.pop("conditions", None) or []
    for shown, key, listed, side in (
        (spec, _V1_TARGET, metrics, "target"),
        (status, _V1_CURRENT, current, "current"),
    ):
        cpu = next((m for m in listed if _is_cpu(m, side)), None)
        if cpu is not None:
            shown[key] = cpu["resource"][side]["averageUtilization"]
    hidden = {
        METRICS: [autoscaling_metrics.spec_to_v1(m) for m in metrics if not _is_cpu(m, "target")],
        CURRENT: [autoscaling_metrics.status_to_v1(m) for m in current],
        BEHAVIOR: behavior and autoscaling_metrics.behavior_to_v1(behavior),
        CONDITIONS: [{key: c[key] for key in _CONDITION if key in c} for c in conditions],
    }
    added = {key: orjson.dumps(value).decode() for key, value in hidden.items() if value}
    metadata = dict(obj.get("metadata") or {})
    if added:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **added}
    found = {**obj, "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec}
    return {**found, "status": status} if "status" in obj else found


def _is_cpu(metric: dict[str, Any], side: str) -> bool:
    source = metric.get("resource") or {}
    is_resource = metric.get("type") == "Resource" and source.get("name") == "cpu"
    return is_resource and "averageUtilization" in (source.get(side) or {})


def to_v2(obj: dict[str, Any]) -> dict[str, Any]:
    """Read a v1 object as v2."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = dict(objects.annotations(obj))
    text = {key: annotations.pop(key, None) for key in (METRICS, CURRENT, CONDITIONS, BEHAVIOR)}
    target, used = spec.pop(_V1_TARGET, None), status.pop(_V1_CURRENT, None)
    metrics = _list(text[METRICS], "spec", "metrics", autoscaling_metrics.spec_to_v2) or []
    if target is not None:
        metrics.append(_cpu("target", {"type": "Utilization", "averageUtilization": target}))
    if metrics:
        spec["metrics"] = metrics
    behavior = _load(text[BEHAVIOR], "spec", "behavior", autoscaling_metrics.behavior_to_v2)
    if behavior:
        spec["behavior"] = behavior
    # what the annotation says of the status is more than the one number, and counts
    current = _list(text[CURRENT], "status", "currentMetrics", autoscaling_metrics.status_to_v2)
    if current is None and used is not None:
        current = [_cpu("current", {"averageUtilization": used})]
    if current:
        status["currentMetrics"] = current
    conditions = _load(text[CONDITIONS], "status", "conditions", lambda given: given)
    if conditions:
        status["conditions"] = conditions
    metadata = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    found = {**obj, "apiVersion": "autoscaling/v2", "metadata": metadata, "spec": spec}
    return {**found, "status": status} if status or "status" in obj else found


def _cpu(side: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": "cpu", side: values}}


def _list(
    text: str | None, part: str, key: str, convert: Callable[[dict[str, Any]], dict[str, Any]]
) -> list[dict[str, Any]] | None:
    found: list[dict[str, Any]] | None = _load(text, part, key, lambda given: [convert(m) for m in given])
    return found


def _load(text: str | None, part: str, key: str, convert: Callable[[Any], Any]) -> Any:
    """Read what an annotation hides; what cannot be read is as if it were not there."""
    kind = schema.get("autoscaling", "v2", "HorizontalPodAutoscaler")
    if not text or kind is None:
        return None
    try:
        return kind.clean({part: {key: convert(orjson.loads(text))}})[0][part].get(key)
    except (orjson.JSONDecodeError, AttributeError, TypeError, errors.ApiError):
        return None
