"""The --audit-* options of `nanokube up`: upstream's, from one table."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from nanokube.cli import errors
from nanokube.roles import audit
from nanokube.roles import config as node_config

_FILES = ("policy-file", "log-path", "webhook-config-file")
_HELP = {
    "policy-file": "Audit policy: which requests are recorded. Needs one of the next two.",
    "log-path": 'File for the records, one a line; "-" is standard output.',
    "webhook-config-file": "kubeconfig of the server that records are POSTed to.",
    "log-maxage": "Days that rotated files are kept.",
    "log-maxbackup": "Number of rotated files that are kept.",
    "log-maxsize": "Megabytes at which the file is rotated.",
    "log-mode": "batch, blocking, or blocking-strict.",
    "webhook-mode": "batch, blocking, or blocking-strict.",
}


def audit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command. Those that few need are not listed by --help."""
    for name in reversed((*_HELP, *(each for each in audit.OPTIONS if each not in _HELP))):
        default = audit.OPTIONS[name]
        text = _HELP.get(name, "") + (f"  [default: {default}]" if default else "")
        command = click.option(f"--audit-{name}", hidden=name not in _HELP, help=text)(command)
    return command


def taken(options: dict[str, Any]) -> dict[str, str]:
    """Take the audit options that were given out of a command's options."""
    found = {name: options.pop("audit_" + name.replace("-", "_")) for name in audit.OPTIONS}
    given = {name: value for name, value in found.items() if value is not None}
    return {name: _absolute(value) if name in _FILES else value for name, value in given.items()}


def _absolute(file: str) -> str:
    return file if file in ("", "-") else str(Path(file).absolute())


def applied(config: node_config.NodeConfig, given: Mapping[str, str]) -> node_config.NodeConfig:
    """Put given options into the node's settings; an empty one takes it out. Raises a Failure."""
    if not given:
        return config
    options = {name: value for name, value in {**config.audit, **given}.items() if value}
    try:
        audit.check(options)
    except audit.AuditError as err:
        raise errors.failure(str(err), "see `nanokube up --help`") from err
    return dataclasses.replace(config, audit=options)
