"""Whether an extension server can be asked, as far as its Service says. Pure.

Source: staging kube-aggregator pkg/controllers/status/remote/remote_available_controller.go,
pkg/apis/apiregistration/v1/helper/helpers.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nanokube.apiserver.aggregator.table import Remote

Object = Mapping[str, Any]

AVAILABLE: Final = "Available"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition Available without its time."""

    is_available: bool
    reason: str
    message: str


PASSED: Final = Verdict(True, "Passed", "all checks passed")


def failed(cause: str) -> Verdict:
    """Say that the server did not answer as it should."""
    return Verdict(False, "FailedDiscoveryCheck", cause)


def of_service(remote: Remote, service: Object | None, slices: Sequence[Object]) -> Verdict | None:
    """Judge what stands behind an APIService; None if nothing speaks against asking it."""
    where = f'service/{remote.service} in "{remote.namespace}"'
    if service is None:
        return Verdict(False, "ServiceNotFound", f"{where} is not present")
    spec = service.get("spec") or {}
    if (spec.get("type") or "ClusterIP") != "ClusterIP":
        return None
    port = next((each for each in spec.get("ports") or () if each.get("port") == remote.port), None)
    if port is None:
        return Verdict(False, "ServicePortError", f"{where} is not listening on port {remote.port}")
    if not slices:
        return Verdict(False, "EndpointsNotFound", f"cannot find endpointslices for {where}")
    name = port.get("name") or ""
    if not any(_has_endpoint(each, name) for each in slices):
        cause = f'endpointslices for {where} have no addresses with port name "{name}"'
        return Verdict(False, "MissingEndpoints", cause)
    return None


def _has_endpoint(one: Object, port_name: str) -> bool:
    endpoints = one.get("endpoints") or ()
    if all((each.get("conditions") or {}).get("ready") is False for each in endpoints):
        return False
    return any((p.get("name") or "") == port_name and p.get("port") for p in one.get("ports") or ())


def is_said(service: Object, verdict: Verdict) -> bool:
    """Tell whether an APIService's condition is this verdict."""
    found = _condition(service)
    return found is not None and _essence(found) == _wanted(verdict)


def say(service: Object, verdict: Verdict, now: str) -> dict[str, Any]:
    """Return an APIService with the condition. now: since when, if that is a change of its status."""
    old = _condition(service)
    status, reason, message = _wanted(verdict)
    since = now
    if old is not None and old.get("status") == status:
        since = old.get("lastTransitionTime") or now
    condition = {
        "type": AVAILABLE,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }
    kept = list((service.get("status") or {}).get("conditions") or ())
    at = next((n for n, each in enumerate(kept) if each.get("type") == AVAILABLE), None)
    if at is None:
        kept.append(condition)
    else:
        kept[at] = condition
    return {**service, "status": {**(service.get("status") or {}), "conditions": kept}}


def _condition(service: Object) -> Object | None:
    conditions = (service.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == AVAILABLE), None)


def _essence(condition: Object) -> tuple[str, str, str]:
    return tuple(condition.get(key) or "" for key in ("status", "reason", "message"))  # type: ignore[return-value]


def _wanted(verdict: Verdict) -> tuple[str, str, str]:
    return "True" if verdict.is_available else "False", verdict.reason, verdict.message
