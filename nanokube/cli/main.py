"""The command line: `nanokube VERB`. Each verb is a file beside this one, loaded when it is used."""

import importlib
import os
from collections.abc import Mapping

import click

from nanokube.cli import errors

# verb -> (module, attribute, one line of help). Help stands here so that `nanokube --help` and
# shell completion import no verb.
VERBS: Mapping[str, tuple[str, str, str]] = {
    "up": ("nanokube.cli.up", "up", "Start this node's cluster, or resume it."),
    "token": ("nanokube.cli.token", "token", "Make, list and delete tokens by which hosts join."),
    "join": ("nanokube.cli.join", "join", "Make this host a worker of another's cluster."),
    "certs": ("nanokube.cli.certs", "certs", "Show this node's certificates, and renew them."),
    "down": ("nanokube.cli.down", "down", "Stop this node; everything is kept."),
    "reset": ("nanokube.cli.reset", "reset", "Remove the cluster and every trace of it from this host."),
    "status": ("nanokube.cli.status", "status", "Show what runs on this node and how it fares."),
    "backup": ("nanokube.cli.backup", "backup", "Write all of the cluster's objects to a file."),
    "restore": ("nanokube.cli.backup", "restore", "Put a backup in place of the cluster's objects."),
    "encryption": (
        "nanokube.cli.encryption",
        "encryption",
        "Show how Secrets are encrypted at rest, and change the keys.",
    ),
    "etcd": ("nanokube.cli.etcd", "etcd", "Show etcd's members, and take out a server that is lost."),
    "store": ("nanokube.cli.backup", "store", "Move the cluster's objects to etcd."),
    "doctor": ("nanokube.cli.doctor", "doctor", "Check this host and name the remedy for what is missing."),
    "demo": ("nanokube.cli.demo", "demo", "Run a Deployment behind a Service and fetch it."),
    "lab": ("nanokube.cli.lab", "lab", "Make a cluster of several nodes on this machine, and break it."),
    "image": ("nanokube.cli.image", "image", "List, pull, import and remove images."),
    "kubectl": ("nanokube.cli.kubectl", "kubectl", "Run stock kubectl against this cluster."),
    "completion": ("nanokube.cli.completion", "completion", "Print shell completion for bash, zsh or fish."),
    "version": (
        "nanokube.cli.version",
        "version",
        "Print the versions of nanokube and of the API it speaks.",
    ),
    "node": (
        "nanokube.cli.node",
        "node",
        "Run this node's components in the foreground (for service managers).",
    ),
}


class LazyGroup(click.Group):
    """A group whose verbs are imported when they are called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module, attribute, _help = VERBS[name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PermissionError as err:
            if os.geteuid() == 0:
                raise
            raise errors.failure(f"cannot open {err.filename}: {err.strerror}", "run it with sudo") from err

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_module, _attribute, text) in VERBS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A complete small Kubernetes: API server, scheduler, controllers, kubelet, runtime, network, DNS."""
