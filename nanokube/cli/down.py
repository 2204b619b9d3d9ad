"""`nanokube down` : end this node's processes; `nanokube reset` builds on it."""

import click

from nanokube.cli import errors, phases, settings
from nanokube.roles import cleanup, node
from nanokube.roles import config as node_config


@click.command()
@click.option("--keep-pods", is_flag=True, help="Leave the containers running; `nanokube up` adopts them.")
def down(keep_pods: bool) -> None:
    """Stop this node: its components and its Pods. Images, objects and settings are kept."""
    errors.require_root("down")
    config = settings.running() or settings.saved()
    with phases.phase("components"):
        was_running = stop_components(config)
    if keep_pods:
        click.echo("Pods go on; `nanokube up` adopts them")
        return
    stop_everything_else(config)
    click.echo("node stopped" if was_running else "node was not running")


def stop_components(config: node_config.NodeConfig) -> bool:
    """End the launcher and its components; tells whether they ran."""
    try:
        return node.stop(config.paths)
    except node.NodeError as err:
        raise errors.failure(str(err), "end it by hand, then call this again") from err


def stop_everything_else(config: node_config.NodeConfig) -> None:
    """End Pods and runtime, then remove what they made in the kernel."""
    with phases.phase("Pods"):
        cleanup.stop_pods(config, lambda _done, _total: None)
    with phases.phase("container runtime"):
        cleanup.stop_runtime(config)
    with phases.phase("network, mounts, cgroups"):
        cleanup.remove_kernel_objects(config)
