"""`nanokube node`: the launcher in the foreground, as a service manager runs it."""

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from nanokube.cli import errors
from nanokube.kit import log as kit_log
from nanokube.kit import paths
from nanokube.roles import config as node_config
from nanokube.roles import keeper, systemd
from nanokube.roles import node as roles_node

log = logging.getLogger(__name__)


@click.command()
@click.option("--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True)
def node(root: Path) -> None:
    """Run this node's components until SIGTERM; `nanokube up` calls it."""
    errors.require_root("node")
    kit_log.set_up(os.environ.get("NANOKUBE_LOG_LEVEL", "INFO"))
    try:
        config = node_config.load(paths.Paths(root))
        if config is None:
            raise errors.failure("this host has no node", "run `sudo nanokube up`")
        claim = roles_node.hold_lock(config.paths)
        node_config.save_running(config)
    except (node_config.ConfigError, roles_node.NodeError) as err:
        raise errors.failure(str(err)) from err
    try:
        with contextlib.suppress(OSError):  # the launcher tries again, and says what is wrong
            keeper.ensure(config)
        # Imported only now: the runtime starts on the other core meanwhile.
        from nanokube.roles import launcher

        launcher.Launcher(config.paths, _mains(config), lambda: keeper.ensure(config)).run()
        _end_with_host(config)
    finally:
        os.close(claim)
    log.info("node stopped")


def _end_with_host(config: node_config.NodeConfig) -> None:
    """End containers if the host goes down: it would wait for them for longer than anybody likes."""
    if not systemd.is_going_down():
        return
    from nanokube.roles import cleanup

    log.info("the host goes down: ending containers")
    try:
        cleanup.end_containers(config)
    except OSError as err:
        log.warning("containers not ended: error=%s", err)


def _mains(config: node_config.NodeConfig) -> Mapping[str, Callable[[], None]]:
    """Import what the node runs, and no more: a worker starts in half the time."""
    if config.is_worker:
        from nanokube.roles import agent

        return agent.mains(config)
    from nanokube.roles import components

    return components.mains(config)
