"""`nanokube reset`: leave the host as it was before `up`."""

import contextlib

import click

from nanokube.cli import down, errors, phases, settings
from nanokube.kit import paths
from nanokube.roles import cleanup
from nanokube.roles import config as node_config


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Remove this node with all its Pods, images, objects and settings."""
    errors.require_root("reset")
    config = _config()
    if not yes:
        click.confirm("This removes the cluster with all its data. Go on?", abort=True)
    with phases.phase("components"):
        down.stop_components(config)
    down.stop_everything_else(config)
    with phases.phase("files"):
        cleanup.remove_files(config)
    click.echo("nothing of nanokube is left on this host but the program itself")


def _config() -> node_config.NodeConfig:
    """Return the node's settings; those it started with, else defaults, if they are gone or damaged.

    What is left must still go.
    """
    with contextlib.suppress(node_config.ConfigError):
        if saved := node_config.load(paths.Paths()):
            return saved
    return settings.running() or settings.default()
