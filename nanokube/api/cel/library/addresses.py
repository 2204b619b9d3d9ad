"""IP addresses and prefixes in expressions. Pure.

Source: k8s.io/apiserver/pkg/cel/library ip.go, cidr.go; Go's net/netip for what parses.
"""

from __future__ import annotations

import functools
import ipaddress

from nanokube.api.cel.library.opaque import Cidr, Ip, NoSuchOverload

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def ip(given: str | Cidr) -> Ip:
    """`ip("10.0.0.1")` and `cidr.ip()`."""
    if isinstance(given, Cidr):
        return Ip(str(_interface(given.text).ip))
    return Ip(str(_address(given)))


def is_ip(text: str) -> bool:
    """`isIP("10.0.0.1")`."""
    return _parses(_address, text)


def is_canonical(text: str) -> bool:
    """`ip.isCanonical("::1")`: whether the address is written as it is printed."""
    return str(_address(text)) == text


def family(given: Ip) -> int:
    """`ip.family()`: 4 or 6."""
    return _ip(given).version


def is_unspecified(given: Ip) -> bool:
    """`ip.isUnspecified()`."""
    return _ip(given).is_unspecified


def is_loopback(given: Ip) -> bool:
    """`ip.isLoopback()`."""
    return _ip(given).is_loopback


def is_link_local_multicast(given: Ip) -> bool:
    """`ip.isLinkLocalMulticast()`."""
    address = _ip(given)
    if address.version == 4:
        return address in ipaddress.ip_network("224.0.0.0/24")
    return address.packed[0] == 0xFF and address.packed[1] & 0x0F == 0x02


def is_link_local_unicast(given: Ip) -> bool:
    """`ip.isLinkLocalUnicast()`."""
    return _ip(given).is_link_local


def is_global_unicast(given: Ip) -> bool:
    """`ip.isGlobalUnicast()`: no special address; private ones count as global."""
    address = _ip(given)
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
        or str(address) == "255.255.255.255"
    )


def cidr(text: str) -> Cidr:
    """`cidr("10.0.0.0/8")`."""
    try:
        return Cidr(str(_interface(text)))
    except ValueError as err:
        raise ValueError(f"network address parse error during conversion from string: {err}") from err


def is_cidr(text: str) -> bool:
    """`isCIDR("10.0.0.0/8")`."""
    return _parses(_interface, text)


def contains_ip(prefix: Cidr, other: Ip | str) -> bool:
    """`cidr.containsIP(…)`."""
    address = _address(other) if isinstance(other, str) else _ip(other)
    return address in _cidr(prefix).network


def contains_cidr(prefix: Cidr, other: Cidr | str) -> bool:
    """`cidr.containsCIDR(…)`."""
    outer = _cidr(prefix).network
    inner = _cidr(cidr(other) if isinstance(other, str) else other).network
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def prefix_length(given: Cidr) -> int:
    """`cidr.prefixLength()`."""
    return _cidr(given).network.prefixlen


def masked(given: Cidr) -> Cidr:
    """`cidr.masked()`: without the bits beyond the prefix."""
    return Cidr(str(_cidr(given).network))


def to_string(given: Ip | Cidr) -> str:
    """`string(ip)` and `string(cidr)`."""
    return given.text


@functools.lru_cache(maxsize=1024)
def _address(text: str) -> _Address:
    if not isinstance(text, str):
        raise NoSuchOverload
    if "%" in text:
        raise ValueError(f'IP address "{text}" with zone value is not allowed')
    try:
        address = ipaddress.ip_address(text)
    except ValueError as err:
        prefix = f'IP Address "{text}" parse error during conversion from string'
        raise ValueError(f'{prefix}: ParseAddr("{text}"): {_reason(text)}') from err
    if address.version == 6 and address.ipv4_mapped is not None:
        raise ValueError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return address


def _reason(text: str) -> str:
    if ":" in text:
        return (
            "unable to parse IP" if not text.strip(":") else "each colon-separated field must have hex digits"
        )
    fields = text.split(".")
    if len(fields) == 1:
        return "unable to parse IP"
    if not all(field.isascii() and field.isdigit() for field in fields if field):
        return f"unexpected character (at {_quote_from_bad(text)})"
    if any(len(field) > 1 and field.startswith("0") for field in fields):
        return "IPv4 field has octet with leading zero"
    if any(field and int(field) > 255 for field in fields):
        return "IPv4 field has value >255"
    if "" in fields:
        return f'IPv4 field must have at least one digit (at "{text}")'
    return "IPv4 address too short" if len(fields) < 4 else "IPv4 address too long"


def _quote_from_bad(text: str) -> str:
    at = next((i for i, char in enumerate(text) if char not in "0123456789."), 0)
    return f'"{text[at:]}"'


@functools.lru_cache(maxsize=1024)
def _interface(text: str) -> _Interface:
    if not isinstance(text, str):
        raise NoSuchOverload
    address, slash, bits = text.rpartition("/")
    if not slash:
        raise ValueError(f"netip.ParsePrefix(\"{text}\"): no '/'")
    if "%" in text:
        raise ValueError(f'netip.ParsePrefix("{text}"): IPv6 zones cannot be present in a prefix')
    if not (bits.isascii() and bits.isdigit()) or (len(bits) > 1 and bits[0] == "0"):
        raise ValueError(f'netip.ParsePrefix("{text}"): bad bits after slash: "{bits}"')
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError as err:
        inner = f'ParseAddr("{address}"): {_reason(address)}'
        raise ValueError(f'netip.ParsePrefix("{text}"): {inner}') from err
    if int(bits) > parsed.max_prefixlen:
        raise ValueError(f'netip.ParsePrefix("{text}"): prefix length out of range')
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        raise ValueError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return ipaddress.ip_interface(text)


def _ip(given: Ip) -> _Address:
    if not isinstance(given, Ip):
        raise NoSuchOverload
    return _address(given.text)


def _cidr(given: Cidr) -> _Interface:
    if not isinstance(given, Cidr):
        raise NoSuchOverload
    return _interface(given.text)


def _parses(parse: object, text: str) -> bool:
    if not isinstance(text, str):
        raise NoSuchOverload
    try:
        parse(text)  # type: ignore[operator]
    except ValueError:
        return False
    return True
