"""`nanokube join`: recognize the cluster, get a certificate, start the agent; nothing stays of a failure."""

import asyncio
import contextlib
import datetime
import errno
import functools
import logging
import shutil
import time
from collections.abc import Callable, Mapping

import click

from nanokube.cli import errors, host_options, phases, readiness, settings, up
from nanokube.kit import clock
from nanokube.roles import config as node_config
from nanokube.roles import discovery, etcd, node
from nanokube.roles import join as roles_join


@click.command()
@click.argument("server")
@click.option("--token", required=True, help="What `nanokube token create` made.")
@click.option("--ca-hash", required=True, help="Hash of the cluster's authority, printed with the token.")
@click.option("--control-plane", is_flag=True, help="Become a further server, not a worker.")
@click.option("--certificate-key", default="", help="What unseals the cluster's authorities, for a server.")
@click.option("--node-name", help="Name of this Node.  [default: the host's name]")
@click.option(
    "--node-ip", help="Address of this node, or IPv4,IPv6.  [default: the one that reaches the server]"
)
@click.option("--kubelet-port", type=int, help="Port of the kubelet.  [default: 10250]")
@click.option("--balancer-port", type=int, help="Port of a worker's way to the servers.  [default: 6444]")
@host_options.host_options
def join(
    server: str, token: str, ca_hash: str, control_plane: bool, certificate_key: str, **options: object
) -> None:
    """Make this host a worker, or a further server, of the cluster whose API server is at SERVER."""
    errors.require_root("join")
    if control_plane != bool(certificate_key):
        hint = "copy the whole line that `sudo nanokube token create --control-plane` prints on a server"
        raise errors.failure("--control-plane and --certificate-key go together", hint)
    began = time.monotonic()
    try:
        invited = discovery.invitation(server, token, ca_hash)
        default = settings.default()
        with node.alone(default.paths):
            if _is_joined(invited):
                name = settings.saved().node_name
                click.echo(f"this host is Node {name} of {invited.server} already; `nanokube up` resumes it")
                return
            config = _join(invited, certificate_key, options)
    except discovery.JoinError as err:
        raise errors.failure(str(err), err.remedy) from err
    except etcd.EtcdError as err:
        raise errors.failure(str(err), err.hint or "see on the other server: sudo nanokube status") from err
    except OSError as err:  # of files: what the network raises is a JoinError
        where = f"{err.filename}: " if err.filename else ""
        hint = "free some space there" if err.errno == errno.ENOSPC else ""
        raise errors.failure(f"cannot join: {where}{err.strerror or err}", hint) from err
    click.echo(f"Node {config.node_name} ({config.node_ip}) is Ready ({time.monotonic() - began:.1f} s)")
    click.echo(f"{'worker' if config.is_worker else 'server'} of:  {config.joined}")


def _is_joined(invited: discovery.Invitation) -> bool:
    """Tell whether this host is the cluster's worker. Raises a Failure if it is some other node."""
    try:
        known = node_config.load(settings.default().paths)
    except node_config.ConfigError as err:
        raise errors.failure(str(err), "start anew with `nanokube reset`") from err
    if known is None:
        return False
    if known.joined == invited.server:
        return True
    role = "worker" if known.is_worker else "server"
    what = f"a {role} of {known.joined}" if known.joined else "a server of its own cluster"
    raise errors.failure(f"this host is {what} already", "run `nanokube reset` first")


def _join(
    invited: discovery.Invitation, certificate_key: str, options: Mapping[str, object]
) -> node_config.NodeConfig:
    with phases.phase("find the cluster"):
        cluster = discovery.discover(invited, clock.SYSTEM.time())
    given = {name: value for name, value in options.items() if value is not None}
    own = roles_join.check_address(cluster.own_address)
    other = settings.address_of(4 if ":" in own else 6)  # the cluster may have both
    given.setdefault("node_ip", f"{own},{other}" if other else own)
    role = node_config.SERVER if certificate_key else node_config.WORKER
    config = settings.joining(cluster.server, role, **given)
    up.check(config)
    with phases.phase("name, address, certificate"):
        if certificate_key:
            asked = roles_join.enrol_server(cluster, invited, config, certificate_key)
            config, bundle = asyncio.run(asked)
            write = functools.partial(roles_join.write_server, config, bundle)
        else:
            config, pem = asyncio.run(roles_join.enrol(cluster, invited, config))
            write = functools.partial(roles_join.write, config, cluster, pem)
    up.check(config, warns=False)  # now that the ranges are known
    return _start(config, write)


def _start(
    config: node_config.NodeConfig, write: Callable[[], node_config.NodeConfig]
) -> node_config.NodeConfig:
    """Write the node's files, start it, wait until it is Ready; take everything back if it fails."""
    is_new = not config.paths.etc.exists()
    since = datetime.datetime.now(datetime.UTC)
    try:
        config = write()
        readiness.wait_until_claimed(config, node.start(config))
        if config.store == node_config.ETCD:
            # The new member does not answer until it runs, again and again: no news to who waits for it.
            logging.getLogger("nanokube.storage.etcd.connection").setLevel(logging.ERROR)
            with phases.phase("etcd"):
                etcd.promote(config)  # one without a vote answers no API server
        readiness.wait_until_ready(config, since)
    except BaseException:
        _undo(config, is_new=is_new)
        raise
    return config


def _undo(config: node_config.NodeConfig, *, is_new: bool) -> None:
    """Take back a join that failed. is_new: the settings' directory is all ours."""
    from nanokube.roles import cleanup  # most joins need none of it, and it takes a while

    with phases.phase("undo"):
        node.stop(config.paths)
        cleanup.stop_pods(config, lambda _done, _total: None)
        cleanup.stop_runtime(config)
        cleanup.remove_kernel_objects(config)
        asyncio.run(roles_join.leave(config))
        with contextlib.suppress(etcd.EtcdError):
            etcd.leave(config)
        kept = [] if is_new else [each for each in config.paths.etc.iterdir() if each.name not in _OURS]
        if not kept:
            cleanup.remove_files(config, keep_volumes=True)
            return
        for name in _OURS:
            place = config.paths.etc / name
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)


_OURS = ("pki", "kubelet.conf", "cri.json", node_config.FILE)
