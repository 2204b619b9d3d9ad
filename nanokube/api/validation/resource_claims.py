"""Validation of ResourceClaims and their templates. Pure.

Source: pkg/apis/resource/validation/validation.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import conditions, devices, formats, metadata, names, scheduling

_MAX_REQUESTS: Final = 32
_MAX_ALTERNATIVES: Final = 8
_MAX_CONSTRAINTS: Final = 32
_MAX_RESULTS: Final = 32
_MAX_CONSUMERS: Final = 256
_MAX_CONDITIONS: Final = 8
_MAX_DATA_BYTES: Final = 10 * 1024
_MAX_IPS: Final = 16
_MAX_INTERFACE_BYTES: Final = 256
_MAX_HARDWARE_BYTES: Final = 128
_NO_LIMIT: Final = 1 << 31
_MODES: Final = ("All", "ExactCount")
_SOURCES: Final = ("FromClaim", "FromClass")
_ONE_KIND: Final = "exactly one of `exactly` or `firstAvailable` is required"
_ONE_ATTRIBUTE: Final = (
    'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
)
_NOT_A_REQUEST: Final = (
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
)

# names of the requests of a claim, and of the alternatives of each
Requests = Mapping[str, frozenset[str]]


def validate(obj: Object) -> list[FieldError]:
    """Check a ResourceClaim."""
    return _claim(objects.spec(obj), "spec")


def validate_template(obj: Object) -> list[FieldError]:
    """Check a ResourceClaimTemplate."""
    spec = objects.spec(obj)
    found = metadata.template_only(objects.metadata(spec), "spec.metadata")
    return found + _claim(objects.spec(spec), "spec.spec")


def validate_replacement(new: Object, old: Object) -> list[FieldError]:
    """Check that the spec stayed; what cannot be changed is not checked again."""
    return metadata.immutable(objects.spec(new), objects.spec(old), "spec")


def _claim(spec: Object, path: str) -> list[FieldError]:
    wanted, path = spec.get("devices") or {}, f"{path}.devices"
    requests = _requests(wanted)

    def constraint(each: Object, where: str) -> list[FieldError]:
        found = _references(each.get("requests"), requests, f"{where}.requests")
        match, distinct = each.get("matchAttribute"), each.get("distinctAttribute")
        if match is not None:
            return found + devices.fully_qualified_name(match, f"{where}.matchAttribute")
        if distinct is not None:
            return found + devices.fully_qualified_name(distinct, f"{where}.distinctAttribute")
        return [*found, field.required(where, _ONE_ATTRIBUTE)]

    def config(each: Object, where: str) -> list[FieldError]:
        found = _references(each.get("requests"), requests, f"{where}.requests")
        return found + devices.configuration(each, where)

    found = devices.unique_items(
        wanted.get("requests"), _MAX_REQUESTS, _request, devices.by_name, f"{path}.requests"
    )
    found += devices.items(wanted.get("constraints"), _MAX_CONSTRAINTS, constraint, f"{path}.constraints")
    return found + devices.items(wanted.get("config"), devices.MAX_CONFIGS, config, f"{path}.config")


def _requests(wanted: Object) -> Requests:
    return {
        devices.by_name(request): frozenset(map(devices.by_name, request.get("firstAvailable") or ()))
        for request in wanted.get("requests") or ()
    }


def _references(values: Any, requests: Requests, path: str) -> list[FieldError]:
    def check(name: str, where: str) -> list[FieldError]:
        return _reference(name, requests, where)

    return devices.unique_items(values, _MAX_REQUESTS, check, devices.itself, path)


def _reference(name: str, requests: Requests, path: str) -> list[FieldError]:
    segments = name.split("/")
    if len(segments) > 2:
        return [field.invalid(path, name, _NOT_A_REQUEST)]
    found = [error for segment in segments for error in devices.label(segment, path)]
    known = requests.get(segments[0])
    if known is None or (len(segments) == 2 and segments[1] not in known):
        found.append(field.invalid(path, name, _NOT_A_REQUEST))
    return found


def _request(request: Object, path: str) -> list[FieldError]:
    found = devices.label(request.get("name"), f"{path}.name")
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable")
    if exactly is None and not alternatives:
        return [*found, field.required(path, _ONE_KIND)]
    if exactly is not None and alternatives:
        return [*found, field.invalid(path, None, f"{_ONE_KIND}, but multiple fields are set")]
    if exactly is not None:
        return found + _exact(exactly, f"{path}.exactly")
    where = f"{path}.firstAvailable"
    return found + devices.unique_items(alternatives, _MAX_ALTERNATIVES, _alternative, devices.by_name, where)


def _alternative(request: Object, path: str) -> list[FieldError]:
    return devices.label(request.get("name"), f"{path}.name") + _exact(request, path)


def _exact(request: Object, path: str) -> list[FieldError]:
    found = formats.required_name(
        request.get("deviceClassName"), names.dns_subdomain, f"{path}.deviceClassName"
    )
    found += devices.selectors(request.get("selectors"), f"{path}.selectors")
    mode, count = request.get("allocationMode") or "", request.get("count") or 0
    if mode not in _MODES:
        found.append(field.not_supported(f"{path}.allocationMode", mode, _MODES))
    elif mode == "All" and count:
        detail = "must not be specified when allocationMode is 'All'"
        found.append(field.invalid(f"{path}.count", count, detail))
    elif mode == "ExactCount" and count <= 0:
        found.append(field.invalid(f"{path}.count", count, "must be greater than zero"))
    for index, toleration in enumerate(request.get("tolerations") or ()):
        found += devices.toleration(toleration, f"{path}.tolerations[{index}]")
    return found


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Check who reserved what, and the allocation, which is made once."""
    status, before = objects.status(new), objects.status(old)
    consumers, allocation = status.get("reservedFor") or [], status.get("allocation")
    found = devices.unique_items(
        consumers, _MAX_CONSUMERS, _consumer, lambda each: each.get("uid"), "status.reservedFor"
    )
    found += _devices(status, _results(allocation))
    if consumers and allocation is None:
        detail = "may not be specified when `allocated` is not set"
        found.append(field.forbidden("status.reservedFor", detail))
    elif objects.is_deleting(new) and any(c not in (before.get("reservedFor") or ()) for c in consumers):
        detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        found.append(field.forbidden("status.reservedFor", detail))
    if allocation is None:
        return found
    if before.get("allocation") is not None:
        return found + metadata.immutable(allocation, before["allocation"], "status.allocation")
    return found + _allocation(allocation, _requests(objects.spec(new).get("devices") or {}))


def _results(allocation: Object | None) -> list[Object]:
    return ((allocation or {}).get("devices") or {}).get("results") or []


def _identity(device: Object) -> tuple[Any, ...]:
    return tuple(device.get(key) or "" for key in ("driver", "pool", "device", "shareID"))


def _consumer(reference: Object, path: str) -> list[FieldError]:
    return [field.required(f"{path}.{k}") for k in ("resource", "name", "uid") if not reference.get(k)]


def _devices(status: Object, results: list[Object]) -> list[FieldError]:
    allocated = {_identity(result) for result in results}

    def check(device: Object, path: str) -> list[FieldError]:
        found = _named(device, path)
        if _identity(device) not in allocated:
            shown = "/".join(part for part in _identity(device) if part)
            found.append(field.invalid(path, shown, "must be an allocated device in the claim"))
        reported = device.get("conditions") or ()
        if len(reported) > _MAX_CONDITIONS:
            found.append(field.too_many(f"{path}.conditions", len(reported), _MAX_CONDITIONS))
        found += conditions.validate(reported, f"{path}.conditions")
        if device.get("data") is not None:
            found += devices.raw(device["data"], _MAX_DATA_BYTES, f"{path}.data")
        return found + _network(device.get("networkData") or {}, f"{path}.networkData")

    return devices.unique_items(status.get("devices"), _NO_LIMIT, check, _identity, "status.devices")


def _named(device: Object, path: str) -> list[FieldError]:
    found = formats.csi_driver(device.get("driver") or "", f"{path}.driver")
    found += devices.pool(device.get("pool"), f"{path}.pool")
    found += devices.label(device.get("device"), f"{path}.device")
    share = device.get("shareID")
    return found if share is None else found + devices.uid(share, f"{path}.shareID")


def _network(data: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for key, limit in (("interfaceName", _MAX_INTERFACE_BYTES), ("hardwareAddress", _MAX_HARDWARE_BYTES)):
        if len((data.get(key) or "").encode()) > limit:
            found.append(field.too_long(f"{path}.{key}", limit))
    return found + devices.unique_items(data.get("ips"), _MAX_IPS, _interface, devices.itself, f"{path}.ips")


def _interface(text: str, path: str) -> list[FieldError]:
    try:
        address = ipaddress.ip_interface(text) if "/" in text else None
    except ValueError:
        address = None
    if address is None:
        detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"
        return [field.invalid(path, text, detail)]
    shown = str(address)
    if shown == text:
        return []
    return [field.invalid(path, text, f"must be in canonical form ({field.quote(shown)})")]


def _allocation(allocation: Object, requests: Requests) -> list[FieldError]:
    path = "status.allocation"

    def result(each: Object, where: str) -> list[FieldError]:
        found = _reference(each.get("request") or "", requests, f"{where}.request")
        return found + _named(each, where) + devices.binding_conditions(each, where)

    def config(each: Object, where: str) -> list[FieldError]:
        source = each.get("source") or ""
        if not source:
            found = [field.required(f"{where}.source")]
        else:
            found = formats.choice(source, _SOURCES, f"{where}.source")
        found += _references(each.get("requests"), requests, f"{where}.requests")
        return found + devices.configuration(each, where)

    chosen = allocation.get("devices") or {}
    found = devices.items(chosen.get("results"), _MAX_RESULTS, result, f"{path}.devices.results")
    found += devices.items(chosen.get("config"), 2 * devices.MAX_CONFIGS, config, f"{path}.devices.config")
    selector = allocation.get("nodeSelector")
    return found if selector is None else found + scheduling.node_selector(selector, f"{path}.nodeSelector")
