"""The node's settings as the command line sees them: saved ones, else defaults fitted to this host."""

import contextlib
import dataclasses
import fcntl
import os
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from nanokube.cli import errors
from nanokube.kit import paths
from nanokube.roles import config as node_config
from nanokube.roles import ranges

SIOCGIFADDR = 0x8915  # netdevice(7)
# Addresses of documents, which nobody has: RFC 5737, RFC 3849.
_DOCUMENTED = {4: (socket.AF_INET, "192.0.2.1"), 6: (socket.AF_INET6, "2001:db8::1")}


def saved() -> node_config.NodeConfig:
    """Return the settings that `up` saved. Raises a Failure if there are none."""
    try:
        config = node_config.load(paths.Paths())
    except PermissionError as err:
        raise errors.failure(f"cannot read {err.filename}", "run it as root") from err
    except node_config.ConfigError as err:
        raise errors.failure(str(err), "repair the file, or start anew with `nanokube reset`") from err
    if config is None:
        raise errors.failure("this host has no node", "run `sudo nanokube up`")
    return config


def running() -> node_config.NodeConfig | None:
    """Return the settings that the node last started with; None if none did since the host did."""
    try:
        return node_config.load_running(paths.Paths())
    except (PermissionError, node_config.ConfigError):
        return None


def current_or_default(**changes: object) -> node_config.NodeConfig:
    """Return the saved settings, else this host's defaults, with the given ones put in (None: not given)."""
    try:
        config = node_config.load(paths.Paths()) or default()
    except PermissionError:
        config = default()
    except node_config.ConfigError as err:
        raise errors.failure(str(err), "repair the file, or start anew with `nanokube reset`") from err
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return node_config.validate(dataclasses.replace(config, **given))  # type: ignore[arg-type]
    except node_config.ConfigError as err:
        raise errors.failure(str(err), "see `nanokube up --help`") from err


def joining(server: str, role: str, **given: object) -> node_config.NodeConfig:
    """Return the settings of a host that joins the cluster at server, a URL."""
    fields = {"role": role, "joined": server, **given}
    try:
        config = dataclasses.replace(default(), **fields)  # type: ignore[arg-type]
        pods, services = ranges.default_ranges(config.node_ips)  # until the cluster has told its own
        config = dataclasses.replace(config, pod_cidr=pods, service_cidr=services, node_pod_cidr="")
        return node_config.validate(config)
    except ValueError as err:
        raise errors.failure(str(err), "see `nanokube join --help`") from err


def default() -> node_config.NodeConfig:
    """Return the settings that fit this host: its name, the address of its default route, fitting ranges."""
    address = _address()
    pods, services = ranges.default_ranges((address,))
    share = ranges.node_share(pods, 24, 64)
    return node_config.NodeConfig(
        _node_name(), address, pod_cidr=pods, node_pod_cidr=share, service_cidr=services, root=Path("/")
    )


def _node_name() -> str:
    """Return the host name as a Node may be named (RFC 1123): lower case, other characters replaced."""
    return node_name_of(os.uname().nodename)


def node_name_of(host_name: str) -> str:
    """Make a Node's name of a host's.

    >>> node_name_of("Web_Server-1.Example.COM"), node_name_of("-"), node_name_of("a_.b")
    ('web-server-1.example.com', 'node', 'a.b')
    """
    labels = (re.sub(r"[^a-z0-9-]", "-", each).strip("-") for each in host_name.lower().split("."))
    return ".".join(each for each in labels if each)[: node_config.NODE_NAME_LIMIT].strip("-.") or "node"


def address_of(family: int) -> str:
    """Return the address of a family (4 or 6) from which this host would reach others; empty if none.

    Connecting a datagram socket sends nothing: it only asks the routing table.
    """
    kind, other = _DOCUMENTED[family]
    with contextlib.suppress(OSError), socket.socket(kind, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 9))
        return str(probe.getsockname()[0])
    return ""


def _address() -> str:
    """Return the address by which others reach this host; else any it has but loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return address_of(4) or next(_addresses(probe), "") or address_of(6) or "127.0.0.1"


def _addresses(probe: socket.socket) -> Iterator[str]:
    """Yield the first address of each device that has one, but of loopback and of what is ours."""
    for _index, name in socket.if_nameindex():
        if name in ("lo", "nk0", "nk-dns"):
            continue
        with contextlib.suppress(OSError):
            answer = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            yield socket.inet_ntoa(answer[20:24])
