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


def validate(container: Object, path: str, *, is_init: bool) -> list[FieldError]:
    """Check the probes and handlers of a container."""
    found: list[FieldError] = []
    has_probes = not is_init or container.get("restartPolicy") == "Always"
    for key in _PROBES:
        probe = container.get(key)
        if probe is None:
            continue
        if not has_probes:
            detail = "may not be set for init containers without restartPolicy=Always"
            found.append(field.forbidden(f"{path}.{key}", detail))
            continue
        found += _probe(probe, f"{path}.{key}", is_readiness=key == "readinessProbe")
    lifecycle = container.get("lifecycle")
    if lifecycle is not None and not has_probes:
        detail = "may not be set for init containers without restartPolicy=Always"
        return [*found, field.forbidden(f"{path}.lifecycle", detail)]
    for key in ("postStart", "preStop"):
        handler = (lifecycle or {}).get(key)
        if handler is not None:
            found += _handler(handler, f"{path}.lifecycle.{key}")
    return found


def _probe(probe: Object, path: str, *, is_readiness: bool) -> list[FieldError]:
    found = _handler(probe, path)
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


def _handler(handler: Object, path: str) -> list[FieldError]:
    kinds = [k for k in _HANDLERS if handler.get(k) is not None]
    if not kinds:
        return [field.required(path, "must specify a handler type")]
    found = [field.forbidden(f"{path}.{k}", "may not specify more than 1 handler type") for k in kinds[1:]]
    kind, body, where = kinds[0], handler[kinds[0]], f"{path}.{kinds[0]}"
    match kind:
        case "exec":
            if not body.get("command"):
                found.append(field.required(f"{where}.command"))
        case "httpGet":
            found += _http_get(body, where)
        case "tcpSocket":
            found += port_reference(body.get("port"), f"{where}.port")
        case "grpc":
            found += [
                field.invalid(f"{where}.port", body.get("port"), m)
                for m in names.port_number(body.get("port") or 0)
            ]
        case "sleep":
            found += metadata.non_negative(body.get("seconds"), f"{where}.seconds")
    return found


def _http_get(action: Object, path: str) -> list[FieldError]:
    found = [] if action.get("path") else [field.required(f"{path}.path")]
    found += port_reference(action.get("port"), f"{path}.port")
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        found.append(field.not_supported(f"{path}.scheme", action.get("scheme"), ("HTTP", "HTTPS")))
    for header in action.get("httpHeaders") or ():
        name = header.get("name") or ""
        found += [field.invalid(f"{path}.httpHeaders", name, m) for m in names.http_header(name)]
    return found
