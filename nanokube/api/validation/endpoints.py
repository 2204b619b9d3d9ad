"""Validation of Endpoints and EndpointSlices. Pure.

Source: pkg/apis/core/validation/validation.go, pkg/apis/discovery/validation/validation.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_FAMILIES: Final = ("FQDN", "IPv4", "IPv6")
_MULTICAST: Final = {4: ipaddress.ip_network("224.0.0.0/24"), 6: ipaddress.ip_network("ff02::/16")}
_MAX_ENDPOINTS: Final = 1000
_MAX_ADDRESSES: Final = 100
_MAX_PORTS: Final = 20_000
_MAX_HINTS: Final = 8


def validate(obj: Object) -> list[FieldError]:
    """Check Endpoints."""
    found: list[FieldError] = []
    for index, subset in enumerate(obj.get("subsets") or ()):
        path = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            found.append(field.required(path, "must specify `addresses` or `notReadyAddresses`"))
        for key in ("addresses", "notReadyAddresses"):
            for n, each in enumerate(subset.get(key) or ()):
                where, ip = f"{path}.{key}[{n}]", each.get("ip") or ""
                found += formats.each(formats.ip, ip, f"{where}.ip")
                found += _host(each, where, is_old=True) + address(ip, f"{where}.ip")
        ports = subset.get("ports") or ()
        for n, port in enumerate(ports):
            found += _port(port, f"{path}.ports[{n}]", is_named=len(ports) > 1)
    return found


def validate_slice(obj: Object) -> list[FieldError]:
    """Check an EndpointSlice."""
    family, found = obj.get("addressType"), list[FieldError]()
    if not family:
        found.append(field.required("addressType"))
    elif family not in _FAMILIES:
        found.append(field.not_supported("addressType", family, _FAMILIES))
    endpoints = obj.get("endpoints") or ()
    if len(endpoints) > _MAX_ENDPOINTS:
        return [*found, field.too_many("endpoints", len(endpoints), _MAX_ENDPOINTS)]
    for index, endpoint in enumerate(endpoints):
        path, addresses = f"endpoints[{index}].addresses", endpoint.get("addresses") or ()
        if not addresses:
            found.append(field.required(path, "must contain at least 1 address"))
        elif len(addresses) > _MAX_ADDRESSES:
            found.append(field.too_many(path, len(addresses), _MAX_ADDRESSES))
        for n, text in enumerate(addresses):
            found += _slice_address(text, str(family), f"{path}[{n}]")
        found += _host(endpoint, f"endpoints[{index}]")
        found += metadata.labels(endpoint.get("deprecatedTopology"), f"endpoints[{index}].deprecatedTopology")
        found += _hints(endpoint.get("hints") or {}, f"endpoints[{index}].hints")
    return found + _slice_ports(obj.get("ports") or ())


def _slice_ports(ports: Sequence[Any]) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    if len(ports) > _MAX_PORTS:
        return [field.too_many("ports", len(ports), _MAX_PORTS)]
    for index, port in enumerate(ports):
        path, name = f"ports[{index}]", port.get("name") or ""
        if name:
            found += (field.invalid(f"{path}.name", name, m) for m in names.dns_label(name))
        if name in seen:
            found.append(field.duplicate(f"{path}.name", name))
        seen.add(name)
        if port.get("protocol") not in _PROTOCOLS:
            found.append(field.not_supported(f"{path}.protocol", port.get("protocol"), _PROTOCOLS))
        found += _app_protocol(port, path)
    return found


def _host(endpoint: Object, path: str, *, is_old: bool = False) -> list[FieldError]:
    found, name = list[FieldError](), list[FieldError]()
    if endpoint.get("nodeName") is not None:
        found += formats.each(names.dns_subdomain, endpoint["nodeName"], f"{path}.nodeName")
    if endpoint.get("hostname") or (not is_old and endpoint.get("hostname") is not None):
        name += formats.each(names.dns_label, endpoint["hostname"], f"{path}.hostname")
    return name + found if is_old else found + name


def _hints(hints: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for key, check in (("forZones", names.label_value), ("forNodes", names.dns_subdomain)):
        wanted = [each.get("name") or "" for each in hints.get(key) or ()]
        if len(wanted) > _MAX_HINTS:
            return [*found, field.too_many(f"{path}.{key}", len(wanted), _MAX_HINTS)]
        for index, name in enumerate(wanted):
            where = f"{path}.{key}[{index}].name"
            if name in wanted[:index]:
                found.append(field.duplicate(where, name))
            found += formats.each(check, name, where)
    return found


def _app_protocol(port: Object, path: str) -> list[FieldError]:
    name = port.get("appProtocol")
    return [] if name is None else formats.each(names.qualified_name, name, f"{path}.appProtocol")


def validate_slice_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the address type stayed."""
    return metadata.immutable(new.get("addressType"), old.get("addressType"), "addressType")


def _slice_address(text: str, family: str, path: str) -> list[FieldError]:
    if family == "FQDN":
        return _domain(text, path)
    if family not in _FAMILIES:
        return []
    check = formats.ip if family == "IPv4" else formats.canonical_ip
    if found := formats.each(check, text, path):
        return found
    parsed = formats.parse_ip(text)
    if parsed is not None and f"IPv{parsed.version}" != family:  # at the list, as upstream reports it
        detail = f"must be an {family} address"
        found.append(field.invalid(path.rpartition("[")[0], text, detail))
    return found + address(text, path)


def _domain(text: str, path: str) -> list[FieldError]:
    if not text:
        return [field.required(path)]
    text = text.removesuffix(".")
    if found := formats.each(names.dns_subdomain, text, path):
        return found
    if "." not in text:
        return [field.invalid(path, text, "should be a domain with at least two segments separated by dots")]
    return [
        error
        for label in text.split(".")
        if len(label) > names.MAX_LABEL
        for error in [field.invalid(path, label, names.max_length(names.MAX_LABEL))]
    ]


def address(text: str, path: str) -> list[FieldError]:
    """Check an address that may not lead into the host itself."""
    ip = formats.parse_ip(text)
    if ip is None:
        return [field.invalid(path, text, "must be a valid IP address")]
    ranges = (
        (ip.is_unspecified, f"may not be unspecified ({text})"),
        (ip.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (ip.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (_is_local_multicast(ip), "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    )
    return [field.invalid(path, text, message) for is_in, message in ranges if is_in]


def _is_local_multicast(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return ip in _MULTICAST[ip.version]


def _port(port: Object, path: str, *, is_named: bool) -> list[FieldError]:
    name, number = port.get("name") or "", port.get("port") or 0
    found = [field.required(f"{path}.name")] if is_named and not name else []
    if name:
        found += (field.invalid(f"{path}.name", name, m) for m in names.dns_label(name))
    found += (field.invalid(f"{path}.port", number, m) for m in names.port_number(number))
    if port.get("protocol") not in _PROTOCOLS:
        found.append(field.not_supported(f"{path}.protocol", port.get("protocol"), _PROTOCOLS))
    return found + _app_protocol(port, path)
