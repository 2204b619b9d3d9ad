"""Validation of probes and lifecycle handlers. Pure. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

from typing import Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import metadata, names
from nanokube.api.validation.service import port_reference

_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_NUMBERS: Final = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)
_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


def validate(container: Object, path: str, spec: Object) -> list[FieldError]:
    """Check the handlers and probes of a container that runs with the Pod."""
    found, lifecycle = list[FieldError](), container.get("lifecycle") or {}
    for key in ("postStart", "preStop"):
        if lifecycle.get(key) is not None:
            found += _handler(lifecycle[key], f"{path}.lifecycle.{key}", spec)
    for key in _PROBES:
        if container.get(key) is not None:
            found += _probe(container[key], f"{path}.{key}", spec, is_readiness=key == "readinessProbe")
    return found


def _probe(probe: Object, path: str, spec: Object, *, is_readiness: bool) -> list[FieldError]:
    found = _handler({key: value for key, value in probe.items() if key != "sleep"}, path, spec)
    for key in _NUMBERS:
        found += metadata.non_negative(probe.get(key), f"{path}.{key}")
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        found.append(field.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    if is_readiness and grace is not None:
        detail = "must not be set for readinessProbes"
        found.append(field.invalid(f"{path}.terminationGracePeriodSeconds", grace, detail))
    if not is_readiness and probe.get("successThreshold") not in (None, 1):
        found.append(field.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    return found


def _handler(handler: Object, path: str, spec: Object) -> list[FieldError]:
    kinds = [k for k in _HANDLERS if handler.get(k) is not None]
    if not kinds:
        return [field.required(path, "must specify a handler type")]
    found = _action(kinds[0], handler[kinds[0]], f"{path}.{kinds[0]}", spec)
    return found + [
        field.forbidden(f"{path}.{k}", "may not specify more than 1 handler type") for k in kinds[1:]
    ]


def _action(kind: str, body: Object, path: str, spec: Object) -> list[FieldError]:
    if kind == "exec":
        return [] if body.get("command") else [field.required(f"{path}.command")]
    if kind == "httpGet":
        return _http_get(body, path)
    if kind == "sleep":
        return _sleep(body.get("seconds") or 0, path, spec.get("terminationGracePeriodSeconds"))
    return port_reference(body.get("port"), f"{path}.port")


def _sleep(seconds: int, path: str, grace: int | None) -> list[FieldError]:
    if grace is None or 0 <= seconds <= grace:
        return []
    detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
    return [field.invalid(path, seconds, detail)]


def _http_get(action: Object, path: str) -> list[FieldError]:
    found = [] if action.get("path") else [field.required(f"{path}.path")]
    found += port_reference(action.get("port"), f"{path}.port")
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        found.append(field.not_supported(f"{path}.scheme", action.get("scheme"), ("HTTP", "HTTPS")))
    for header in action.get("httpHeaders") or ():
        name = header.get("name") or ""
        found += [field.invalid(f"{path}.httpHeaders", name, m) for m in names.http_header(name)]
    return found
