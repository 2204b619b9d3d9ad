"""What a text at a path must look like: qualified names, paths, addresses, members of an enumeration. Pure.

Where `names` returns messages, most of these return field errors: which value they show depends on the part
that is wrong.
Source: apimachinery/pkg/util/validation/{validation,ip}.go; gate StrictIPCIDRValidation (on since v1.36).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.validation import names

BAD_IP: Final = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
BAD_CIDR: Final = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_HTTP_PATH: Final = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_WILDCARD: Final = r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_WILDCARD_RULE: Final = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must "
    "consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)


def each(check: Callable[[str], Iterable[str]], value: str, path: str) -> list[FieldError]:
    """Turn the messages of a check of `names` into errors at a path."""
    return [field.invalid(path, value, message) for message in check(value)]


def choice(value: Any, allowed: Collection[str], path: str) -> list[FieldError]:
    """Check that a value is one of an enumeration; "" and None are not."""
    return [] if value in allowed else [field.not_supported(path, value or "", sorted(allowed))]


def optional_choice(value: Any, allowed: Collection[str], path: str) -> list[FieldError]:
    """Check a member of an enumeration that may be absent."""
    return [] if value is None else choice(value, allowed, path)


def required_name(value: str | None, check: Callable[[str], Iterable[str]], path: str) -> list[FieldError]:
    """Check a text that must be there and well-formed."""
    return each(check, value, path) if value else [field.required(path)]


def path_segment(text: str) -> list[str]:
    """Check a name that only has to fit into a URL."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{c}'" for c in "/%" if c in text]


def fully_qualified_name(text: str, path: str) -> list[FieldError]:
    """Check a domain of at least three parts."""
    if not text:
        return [field.required(path)]
    messages = names.dns_subdomain(text)
    if messages:
        return [field.invalid(path, text, ",".join(messages))]
    if text.count(".") < 2:
        detail = "should be a domain with at least three segments separated by dots"
        return [field.invalid(path, text, detail)]
    return []


def csi_driver(name: str, path: str) -> list[FieldError]:
    """Check the name of a CSI driver where something refers to it."""
    if not name:
        return [field.required(path)]
    found = [field.too_long(path, names.MAX_LABEL)] if len(name) > names.MAX_LABEL else []
    return found + [field.invalid(path, name, m) for m in names.dns_subdomain(name.lower())]


def domain_prefixed_path(text: str, path: str) -> list[FieldError]:
    """Check a path after a domain: "acme.io/foo"."""
    if not text:
        return [field.required(path)]
    host, _, rest = text.partition("/")
    if not host or not rest:
        return [field.invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    found = [field.invalid(path, host, m) for m in names.dns_subdomain(host)]
    if re.fullmatch(_HTTP_PATH, rest) is None:
        found.append(field.invalid(path, rest, f"Invalid path (regex used for validation is '{_HTTP_PATH}')"))
    return found


def wildcard_subdomain(text: str) -> list[str]:
    """Check a domain that begins with "*."."""
    found = [names.max_length(names.MAX_SUBDOMAIN)] if len(text) > names.MAX_SUBDOMAIN else []
    if re.fullmatch(_WILDCARD, text) is None:
        found.append(names.regex_error(_WILDCARD_RULE, _WILDCARD, "*.example.com"))
    return found


def host(text: str) -> list[str]:
    """Check a domain that may begin with "*."."""
    return wildcard_subdomain(text) if "*" in text else names.dns_subdomain(text)


def is_ip(text: str) -> bool:
    """Tell whether the text is an address, leading zeros or not."""
    return parse_ip(text) is not None


def parse_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address as Go's sloppy parser does: leading zeros are decimal, zones are not allowed."""
    if "%" in text:
        return None
    try:
        return ipaddress.ip_address(_without_zeros(text))
    except ValueError:
        return None


def ip(text: str) -> list[str]:
    """Check an address of a field that is older than canonical forms."""
    address = parse_ip(text)
    if address is None:
        return [BAD_IP]
    found = ["must not have leading 0s"] if _without_zeros(text) != text else []
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        found.append("must not be an IPv4-mapped IPv6 address")
    return found


def canonical_ip(text: str) -> list[str]:
    """Check an address in its one canonical form."""
    address, found = parse_ip(text), ip(text)
    if found or address is None or str(address) == text:
        return found
    return [f"must be in canonical form ({field.quote(str(address))})"]


def parse_cidr(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Read a range as Go's sloppy parser does, or None."""
    address, slash, length = text.partition("/")
    if not slash or not length.isdecimal() or parse_ip(address) is None:
        return None
    try:
        return ipaddress.ip_network(f"{_without_zeros(address)}/{int(length)}", strict=False)
    except ValueError:
        return None


def cidr(text: str) -> list[str]:
    """Check a range of a field that is older than canonical forms."""
    network, (address, _, length) = parse_cidr(text), text.partition("/")
    if network is None:
        return [BAD_CIDR]
    if _without_zeros(address) != address or str(int(length)) != length:
        return ["must not have leading 0s in IP or prefix length"]
    first = ipaddress.ip_address(address)
    if isinstance(first, ipaddress.IPv6Address) and first.ipv4_mapped is not None:
        return ["must not have an IPv4-mapped IPv6 address"]
    if first != network.network_address:
        return ["must not have bits set beyond the prefix length"]
    return []


def canonical_cidr(text: str) -> list[str]:
    """Check a range in its one canonical form."""
    network, found = parse_cidr(text), cidr(text)
    if found or network is None or str(network) == text:
        return found
    return [f"must be in canonical form ({field.quote(str(network))})"]


def _without_zeros(text: str) -> str:
    if "." not in text or ":" in text:
        return text
    return ".".join(part.lstrip("0") or "0" if part.isdecimal() else part for part in text.split("."))
