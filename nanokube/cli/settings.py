"""The node's settings as the command line sees them: saved ones, else defaults fitted to this host."""

import dataclasses
import os
import socket
from pathlib import Path

from nanokube.cli import errors
from nanokube.kit import paths
from nanokube.roles import config as node_config


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


def default() -> node_config.NodeConfig:
    """Return the settings that fit this host: its name, and the address of its default route."""
    return node_config.NodeConfig(node_name=_node_name(), node_ip=_address(), root=Path("/"))


def _node_name() -> str:
    """Return the host name as a Node may be named (RFC 1123): lower case, underscores replaced."""
    return os.uname().nodename.lower().replace("_", "-").strip("-.") or "node"


def _address() -> str:
    """Return the address from which this host would reach others; loopback if it reaches nobody.

    Connecting a datagram socket sends nothing: it only asks the routing table.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737 documentation address
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
