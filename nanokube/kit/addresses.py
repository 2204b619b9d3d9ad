"""Addresses and ranges of one or two families, as flags write them: "10.244.0.0/16,fd00::/56". Pure."""

import ipaddress
from collections.abc import Iterable


def split(text: str) -> tuple[str, ...]:
    """Give the parts of a list with commas.

    >>> split("10.0.0.1, fd00::1"), split("")
    (('10.0.0.1', 'fd00::1'), ())
    """
    return tuple(each for part in text.split(",") if (each := part.strip()))


def bracketed(host: str) -> str:
    """Give a host as URLs write it: IPv6 in brackets (RFC 3986, 3.2.2).

    >>> bracketed("fd00::1"), bracketed("10.0.0.1"), bracketed("web")
    ('[fd00::1]', '10.0.0.1', 'web')
    """
    return f"[{host}]" if ":" in host else host


def host_port(host: str, port: int) -> str:
    """Give host and port as URLs write them.

    >>> host_port("fd00::1", 80), host_port("10.0.0.1", 80)
    ('[fd00::1]:80', '10.0.0.1:80')
    """
    return f"{bracketed(host)}:{port}"


def family(text: str) -> int:
    """Give 4 or 6: the family of an address or a range. Raises ValueError.

    >>> family("fd00::/56"), family("10.0.0.1")
    (6, 4)
    """
    return ipaddress.ip_interface(text).version


def first_of(addresses: Iterable[str], version: int) -> str:
    """Give the first of a family (4 or 6); empty if there is none.

    >>> first_of(["10.0.0.1", "fd00::1"], 6), first_of(["10.0.0.1"], 6)
    ('fd00::1', '')
    """
    return next((each for each in addresses if family(each) == version), "")
