"""`nanokube reset`: leave the host as it was before `up`."""

import asyncio
import contextlib

import click

from nanokube.cli import down, errors, phases, settings
from nanokube.kit import paths
from nanokube.roles import cleanup
from nanokube.roles import config as node_config


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--keep-volumes", is_flag=True, help="Leave the data of persistent volumes where it is.")
def reset(yes: bool, keep_volumes: bool) -> None:
    """Remove this node with all its Pods, images, objects and settings; a worker leaves its cluster."""
    errors.require_root("reset")
    config = _config()
    volumes = _of_volumes(config, keep_volumes)
    if yes and volumes:
        click.echo(f"this removes the node{volumes}")
    if not yes:
        what = "node and all that it holds" if config.is_worker else "cluster with all its data"
        click.confirm(f"This removes the {what}{volumes}. Go on?", abort=True)
    if config.store == node_config.ETCD:
        _leave_etcd(config)
    with phases.phase("components"):
        down.stop_components(config)
    down.stop_everything_else(config)
    if config.store not in ("", node_config.ETCD):
        _leave_store(config)
    if config.joined:
        _leave(config)
    with phases.phase("files"):
        try:
            cleanup.remove_files(config, keep_volumes=keep_volumes)
        except OSError as err:
            raise errors.failure(str(err)) from err
    kept = cleanup.volumes(config)
    but = f" and {len(kept)} volumes in {config.paths.volumes}" if kept else ""
    click.echo(f"nothing of nanokube is left on this host but the program itself{but}")


def _of_volumes(config: node_config.NodeConfig, keep: bool) -> str:
    """Say what becomes of the persistent volumes, if there are any."""
    count = len(cleanup.volumes(config))
    if not count:
        return ""
    fate = "but not" if keep else "and"
    return f", {fate} the data of {count} persistent volume{'s' * (count > 1)} on this host"


def _leave(config: node_config.NodeConfig) -> None:
    # Only a worker needs the client, which takes a while to import.
    from nanokube.roles import join

    with phases.phase("leave the cluster"):
        is_known = asyncio.run(join.leave(config))
    if not is_known:
        hint = f"remove its Node there: nanokube kubectl delete node {config.node_name}"
        click.echo(f"warning: cannot tell {config.joined} that this node is gone; {hint}", err=True)


def _leave_etcd(config: node_config.NodeConfig) -> None:
    """Tell the other servers' etcd that this member is gone, while it can be asked."""
    from nanokube.roles import etcd

    try:
        etcd.leave(config)
    except etcd.EtcdError as err:
        click.echo(
            f"warning: {err}; hint: on another server, nanokube etcd remove {config.node_name}", err=True
        )


def _leave_store(config: node_config.NodeConfig) -> None:
    """Take this server off an etcd that is not ours, which outlives it: no rotation waits for it then."""
    from nanokube.roles import encryption

    try:
        encryption.leave(config)
    except encryption.EncryptionError as err:
        click.echo(f"warning: {err}; hint: {err.hint}", err=True)


def _config() -> node_config.NodeConfig:
    """Return the node's settings; those it started with, else defaults, if they are gone or damaged.

    What is left must still go.
    """
    with contextlib.suppress(node_config.ConfigError):
        if saved := node_config.load(paths.Paths()):
            return saved
    return settings.running() or settings.default()
