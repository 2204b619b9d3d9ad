"""Validation of Events of either group, both in the shape of core/v1, in which they are kept. Pure.

Paths are those of the internal type, as upstream reports them. Source: pkg/apis/core/validation/events.go.
"""

from __future__ import annotations

from typing import Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

_MAX_SHORT: Final = 128
_MAX_NOTE: Final = 1024
_NOT_ITS_NAMESPACE: Final = "does not match event.namespace"
_DEPRECATED: Final = ("firstTimestamp", "lastTimestamp", "count")
_FIXED: Final = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type",
    "eventTime", "action", "related", "reportingController", "reportingInstance",
)  # fmt: skip


def validate(obj: Object) -> list[FieldError]:
    """Check an Event of core/v1."""
    return _validate(obj, "reportingComponent")


def validate_new_style(obj: Object) -> list[FieldError]:
    """Check an Event of events.k8s.io/v1."""
    return _validate(obj, "reportingController")


def _validate(obj: Object, controller: str) -> list[FieldError]:
    about = (obj.get("involvedObject") or {}).get("namespace") or ""
    namespace, path = objects.namespace(obj), "involvedObject.namespace"
    if not obj.get("eventTime"):  # as only core/v1 may
        is_right = about == namespace if about else namespace in ("", "default")
        return [] if is_right else [field.invalid(path, about, _NOT_ITS_NAMESPACE)]
    found: list[FieldError] = []
    if not about and namespace not in ("default", "kube-system"):
        found.append(field.invalid(path, about, _NOT_ITS_NAMESPACE))
    name = obj.get("reportingComponent") or ""
    if not name:
        found.append(field.required(controller))
    found += formats.each(names.qualified_name, name, controller)
    for key in ("reportingInstance", "action", "reason"):
        if not obj.get(key):
            found.append(field.required(key))
        found += _length(obj.get(key) or "", _MAX_SHORT, key)
    return found + _length(obj.get("message") or "", _MAX_NOTE, "message")


def _length(text: str, limit: int, path: str) -> list[FieldError]:
    too_long = len(text.encode()) > limit
    return [field.invalid(path, "", f"can have at most {limit} characters")] if too_long else []


def validate_strictly(obj: Object) -> list[FieldError]:
    """Check what only a new Event of events.k8s.io/v1 must have, and what it may not."""
    found, kind = _series(obj), obj.get("type") or ""
    if not obj.get("eventTime"):
        found.append(field.required("eventTime"))
    if kind not in ("Normal", "Warning"):
        found.append(field.invalid("type", "", f"has invalid value: {kind}"))
    found += (field.invalid(key, "", "needs to be unset") for key in _DEPRECATED if obj.get(key))
    source = obj.get("source") or {}
    if source.get("component") or source.get("host"):
        found.append(field.invalid("source", "", "needs to be unset"))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Check that only the series of an Event of events.k8s.io/v1 changed."""
    found = _series(new) if new.get("series") != old.get("series") else []
    for key in _FIXED:
        kept = "reportingComponent" if key == "reportingController" else key
        found += metadata.immutable(new.get(kept) or None, old.get(kept) or None, key)
    return found


def _series(obj: Object) -> list[FieldError]:
    series, found = obj.get("series"), list[FieldError]()
    if series is None:
        return found
    if (series.get("count") or 0) < 2:
        found.append(field.invalid("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        found.append(field.required("series.lastObservedTime"))
    return found
