"""autoscaling/v1 as a view of autoscaling/v2: a CPU target is a metric, the rest hides in annotations. Pure.

Source: pkg/apis/autoscaling/v1/conversion.go, pkg/apis/autoscaling/annotations.go.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from nanokube.api import objects

METRICS: Final = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT: Final = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS: Final = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR: Final = "autoscaling.alpha.kubernetes.io/behavior"
_V1_TARGET: Final = "targetCPUUtilizationPercentage"
_V1_CURRENT: Final = "currentCPUUtilizationPercentage"


def _is_cpu(metric: dict[str, Any]) -> bool:
    source = metric.get("resource") or {}
    target = source.get("target") or source.get("current") or {}
    return metric.get("type") == "Resource" and source.get("name") == "cpu" and "averageUtilization" in target


def to_v1(obj: dict[str, Any]) -> dict[str, Any]:
    """Show a v2 object as v1."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    hidden: dict[str, Any] = {
        BEHAVIOR: spec.pop("behavior", None),
        CONDITIONS: status.pop("conditions", None),
    }
    metrics, current = spec.pop("metrics", None) or [], status.pop("currentMetrics", None) or []
    cpu = next((m for m in metrics if _is_cpu(m)), None)
    if cpu is not None:
        spec[_V1_TARGET] = cpu["resource"]["target"]["averageUtilization"]
    hidden[METRICS] = [m for m in metrics if m is not cpu]
    cpu = next((m for m in current if _is_cpu(m)), None)
    if cpu is not None:
        status[_V1_CURRENT] = cpu["resource"]["current"]["averageUtilization"]
    hidden[CURRENT] = [m for m in current if m is not cpu]
    added = {key: orjson.dumps(value).decode() for key, value in hidden.items() if value}
    metadata = dict(obj.get("metadata") or {})
    if added:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **added}
    found = {**obj, "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec}
    return {**found, "status": status} if "status" in obj else found


def to_v2(obj: dict[str, Any]) -> dict[str, Any]:
    """Read a v1 object as v2."""
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = dict(objects.annotations(obj))
    shown = {key: _load(annotations.pop(key, None)) for key in (METRICS, CURRENT, CONDITIONS, BEHAVIOR)}
    target, used = spec.pop(_V1_TARGET, None), status.pop(_V1_CURRENT, None)
    metrics = list(shown[METRICS] or [])
    if target is not None:
        goal = {"type": "Utilization", "averageUtilization": target}
        metrics.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": goal}})
    if metrics:
        spec["metrics"] = metrics
    if shown[BEHAVIOR]:
        spec["behavior"] = shown[BEHAVIOR]
    current = list(shown[CURRENT] or [])
    if used is not None:
        current.insert(
            0, {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": used}}}
        )
    if current:
        status["currentMetrics"] = current
    if shown[CONDITIONS]:
        status["conditions"] = shown[CONDITIONS]
    metadata = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    found = {**obj, "apiVersion": "autoscaling/v2", "metadata": metadata, "spec": spec}
    return {**found, "status": status} if status or "status" in obj else found


def _load(text: str | None) -> Any:
    """Read what an annotation hides; what cannot be read is as if it were not there."""
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None
