"""Validation of Events of either group. Pure. Source: pkg/apis/core/validation/events.go."""

from __future__ import annotations

from typing import Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object

_LIMITS: Final = (("reportingInstance", 128), ("action", 128), ("reason", 128), ("note", 1024))


def validate(obj: Object) -> list[FieldError]:
    """Check a core v1 Event: it lives in the namespace of what it is about."""
    about = (obj.get("involvedObject") or {}).get("namespace") or ""
    return _namespace(obj, about, "involvedObject.namespace")


def validate_new_style(obj: Object) -> list[FieldError]:
    """Check an events.k8s.io/v1 Event."""
    found = _namespace(obj, (obj.get("regarding") or {}).get("namespace") or "", "regarding.namespace")
    if not obj.get("eventTime"):
        found.append(field.required("eventTime"))
    for key in ("reportingController", "reportingInstance", "action", "reason"):
        if not obj.get(key):
            found.append(field.required(key))
    if obj.get("type") not in ("Normal", "Warning"):
        found.append(field.invalid("type", obj.get("type") or "", ""))
    for key, limit in _LIMITS:
        if len(obj.get(key) or "") > limit:
            found.append(field.invalid(key, "", f"can have at most {limit} characters"))
    return found


def _namespace(obj: Object, about: str, path: str) -> list[FieldError]:
    namespace = objects.namespace(obj)
    if about == namespace or (not about and namespace in ("default", "kube-system")):
        return []
    return [field.invalid(path, about, "does not match event.namespace")]
