"""What to say of addresses and ranges that older fields accept in other forms than the standard one. Pure.

Source: apimachinery/pkg/util/validation/ip.go, GetWarningsForIP, GetWarningsForCIDR.
"""

from __future__ import annotations

import ipaddress

from nanokube.api.field import quote
from nanokube.api.validation import formats


def ip(text: str, path: str) -> list[str]:
    """Return what to say of an address."""
    address = formats.parse_ip(text)
    if address is None or str(address) == text:
        return []
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is None and address.version == 6:
        shown = f"should be in RFC 5952 canonical format ({quote(str(address))})"
        return [f"{path}: IPv6 address {quote(text)} {shown}"]
    return [f"{path}: non-standard IP address {quote(text)} is invalid: use {quote(str(mapped or address))}"]


def cidr(text: str, path: str) -> list[str]:
    """Return what to say of a range."""
    network = formats.parse_cidr(text)
    if network is None or str(network) == text:
        return []
    address = formats.parse_ip(text.partition("/")[0])
    if address is not None and address != network.network_address:
        single = quote(f"{address}/{network.max_prefixlen}")
        return [
            f"{path}: CIDR value {quote(text)} is ambiguous in this context "
            f"(should be {quote(str(network))} or {single}?)"
        ]
    if formats.cidr(text):
        return [f"{path}: non-standard CIDR value {quote(text)} is invalid: use {quote(str(network))}"]
    shown = f"should be in RFC 5952 canonical format ({quote(str(network))})"
    return [f"{path}: IPv6 CIDR value {quote(text)} {shown}"]
