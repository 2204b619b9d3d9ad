"""A sandbox's resolv.conf, hosts and hostname, as text. Pure.

Every value comes from a request and goes into a file whose format is lines and blanks,
so a value with a control character or a blank is refused rather than written.
"""

import ipaddress
import re
from collections.abc import Sequence

from cri.api import runtime_pb2 as pb

# One token of resolv.conf: no blank, no control character, no comment mark.
_TOKEN = re.compile(r"[^\s\x00-\x1f\x7f;#]+")
# RFC 1123, as sethostname(2) and /etc/hostname take it; 64 is HOST_NAME_MAX. A last dot is a full name's.
_HOSTNAME = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?")


class InvalidValue(ValueError):
    """A value cannot stand in the file."""


def resolv_conf(config: pb.DNSConfig) -> str:
    """Return resolv.conf for a sandbox's DNS settings; "" when none is set (the host's is used)."""
    lines = [f"nameserver {_address(server)}" for server in config.servers]
    if config.searches:
        lines.insert(0, f"search {' '.join(map(_token, config.searches))}")
    if config.options:
        lines.append(f"options {' '.join(map(_token, config.options))}")
    return "".join(f"{line}\n" for line in lines)


def hosts(addresses: Sequence[str], hostname: str) -> str:
    """Return /etc/hosts of a sandbox with its own network."""
    names = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
    ]
    if hostname:
        names += [f"{_address(address)}\t{check_hostname(hostname)}" for address in addresses]
    return "".join(f"{line}\n" for line in names)


def check_hostname(name: str) -> str:
    """Return the name if it is a valid host name. Raises InvalidValue."""
    if not _HOSTNAME.fullmatch(name):
        raise InvalidValue(f"cannot use hostname {name!r}: not a valid host name")
    return name


def _address(text: str) -> str:
    """Check an address; IPv6 may carry a zone, as resolv.conf(5) allows."""
    try:
        ipaddress.ip_address(text)
    except ValueError as err:
        raise InvalidValue(f"cannot use address {text!r}: {err}") from err
    return _token(text)


def _token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise InvalidValue(f"cannot use {text!r} in resolv.conf: blank or control character")
    return text
