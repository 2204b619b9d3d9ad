"""Options of `up` and `join` that say how a host treats its Pods."""

from collections.abc import Callable
from typing import Any

import click

_OPTIONS = (
    click.option("--cgroup-root", help="Name of the cgroup that holds all Pods.  [default: nanokube]"),
    click.option(
        "--shutdown-grace",
        "shutdown_grace_s",
        type=float,
        help="Seconds that a shutdown of the host waits for Pods to end.  [default: 0]",
    ),
    click.option(
        "--shutdown-grace-critical",
        "shutdown_grace_critical_s",
        type=float,
        help="Of these, the last ones, for critical Pods.  [default: 0]",
    ),
)


def host_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
