"""Validation of NetworkPolicies, IPAddresses and ServiceCIDRs. Pure.

Source: pkg/apis/networking/validation/validation.go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Any, Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_TYPES: Final = ("Ingress", "Egress")
_DIRECTIONS: Final = (("ingress", "from"), ("egress", "to"))
_ONE_OF_EACH: Final = (
    "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
)


def validate_policy(obj: Object) -> list[FieldError]:
    """Check a NetworkPolicy."""
    return _policy(obj, frozenset())


def validate_policy_replacement(new: Object, old: Object) -> list[FieldError]:
    """Check a NetworkPolicy that may keep the ranges of the old one, wrong or not."""
    return _policy(new, _ranges(old))


def _ranges(old: Object) -> frozenset[str]:
    return frozenset(
        text
        for direction, peers in _DIRECTIONS
        for rule in objects.spec(old).get(direction) or ()
        for peer in rule.get(peers) or ()
        if peer.get("ipBlock") is not None
        for text in (peer["ipBlock"].get("cidr") or "", *(peer["ipBlock"].get("except") or ()))
    )


def _policy(obj: Object, kept: Collection[str]) -> list[FieldError]:
    spec = objects.spec(obj)
    found = metadata.label_selector(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in _DIRECTIONS:
        for index, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{index}]"
            for number, port in enumerate(rule.get("ports") or ()):
                found += _port(port, f"{path}.ports[{number}]")
            for number, peer in enumerate(rule.get(peers) or ()):
                found += _peer(peer, f"{path}.{peers}[{number}]", kept)
    kinds = spec.get("policyTypes") or []
    if len(kinds) > len(_TYPES):
        detail = "may not specify more than two policyTypes"
        return [*found, field.invalid("spec.policyTypes", kinds, detail)]
    for index, kind in enumerate(kinds):
        if kind not in _TYPES:
            found.append(field.not_supported(f"spec.policyTypes[{index}]", kind, _TYPES))
    return found


def _port(port: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    protocol, value, end, last = (
        port.get("protocol"),
        port.get("port"),
        port.get("endPort"),
        f"{path}.endPort",
    )
    if protocol is not None and protocol not in _PROTOCOLS:
        found.append(field.not_supported(f"{path}.protocol", protocol, _PROTOCOLS))
    if isinstance(value, int):
        found += (field.invalid(f"{path}.port", value, m) for m in names.port_number(value))
        if end is not None and end < value:
            found.append(field.invalid(last, value, "must be greater than or equal to `port`"))
        if end is not None:
            found += (field.invalid(last, end, m) for m in names.port_number(end))
    elif isinstance(value, str):
        if end is not None:
            found.append(field.invalid(last, end, "may not be specified when `port` is non-numeric"))
        found += formats.each(names.port_name, value, f"{path}.port")
    elif end is not None:
        found.append(field.invalid(last, end, "may not be specified when `port` is not specified"))
    return found


def _peer(peer: Object, path: str, kept: Collection[str]) -> list[FieldError]:
    found: list[FieldError] = []
    block, selectors = peer.get("ipBlock"), 0
    for key in ("podSelector", "namespaceSelector"):
        found += metadata.label_selector(peer.get(key), f"{path}.{key}")
        selectors += peer.get(key) is not None
    if block is not None:
        found += _block(block, f"{path}.ipBlock", kept)
        if selectors:
            found.append(field.forbidden(path, "may not specify both ipBlock and another peer"))
    elif not selectors:
        found.append(field.required(path, "must specify a peer"))
    return found


def _block(block: Object, path: str, kept: Collection[str]) -> list[FieldError]:
    text = block.get("cidr") or ""
    if not text:
        return [field.required(f"{path}.cidr")]
    found = [] if text in kept else formats.each(formats.cidr, text, f"{path}.cidr")
    outer = formats.parse_cidr(text)
    for index, each in enumerate(block.get("except") or ()) if outer else ():
        where, inner = f"{path}.except[{index}]", formats.parse_cidr(each)
        found += [] if each in kept else formats.each(formats.cidr, each, where)
        if inner is not None and not _is_within(inner, outer):
            found.append(field.invalid(where, each, "must be a strict subset of `cidr`"))
    return found


def _is_within(inner: Any, outer: Any) -> bool:
    return inner.version == outer.version and inner != outer and bool(inner.subnet_of(outer))


def validate_address(obj: Object) -> list[FieldError]:
    """Check an IPAddress."""
    parent, path = objects.spec(obj).get("parentRef"), "spec.parentRef"
    if parent is None:
        return [field.required(path)]
    group, namespace = parent.get("group") or "", parent.get("namespace") or ""
    found = formats.each(names.dns_subdomain, group, f"{path}.group") if group else []
    for key in ("resource", "name"):
        found += formats.required_name(parent.get(key), formats.path_segment, f"{path}.{key}")
    return found + formats.each(formats.path_segment, namespace, f"{path}.namespace") if namespace else found


def validate_address_update(new: Object, old: Object) -> list[FieldError]:
    """Check that an IPAddress still belongs to the same object."""
    wanted, before = objects.spec(new).get("parentRef"), objects.spec(old).get("parentRef")
    return metadata.immutable(wanted, before, "spec.parentRef")


def validate_service_cidr(obj: Object) -> list[FieldError]:
    """Check a ServiceCIDR."""
    ranges, path = objects.spec(obj).get("cidrs") or [], "spec.cidrs"
    if not ranges:
        return [field.required(path, "at least one CIDR required")]
    if len(ranges) > 2:
        return [field.invalid(path, {"CIDRs": ranges}, "may only hold up to 2 values")]
    found = [
        e for i, text in enumerate(ranges) for e in formats.each(formats.canonical_cidr, text, f"{path}[{i}]")
    ]
    parsed: list[ipaddress.IPv4Network | ipaddress.IPv6Network | None] = [
        formats.parse_cidr(t) for t in ranges
    ]
    versions = [network.version for network in parsed if network is not None]
    if len(versions) == 2 and versions[0] == versions[1]:
        found.append(field.invalid(path, ranges, _ONE_OF_EACH))
    return found


def validate_service_cidr_replacement(new: Object, old: Object) -> list[FieldError]:
    """Check that ranges stayed, but for a second one that may be added; who changes them hears no more."""
    wanted, before, path = (
        objects.spec(new).get("cidrs") or [],
        objects.spec(old).get("cidrs") or [],
        "spec.cidrs",
    )
    if len(wanted) != len(before) and (len(before), len(wanted)) != (1, 2):
        return [field.invalid(path, wanted, metadata.IMMUTABLE)]
    pairs = enumerate(zip(wanted, before, strict=False))
    found = [field.invalid(f"{path}[{i}]", a, metadata.IMMUTABLE) for i, (a, b) in pairs if a != b]
    return found if len(wanted) == len(before) else found + validate_service_cidr(new)
