"""`nanokube up`: certificates, processes, then wait until the node is Ready, phase by phase."""

import datetime
import time

import click

from nanokube.cli import audit_options, errors, host_options, phases, readiness, settings
from nanokube.kit import addresses, paths
from nanokube.roles import bootstrap, checks, node, ranges
from nanokube.roles import config as node_config


@click.command()
@click.option("--node-name", help="Name of this Node.  [default: the host's name]")
@click.option("--node-ip", help="Address of this node, or IPv4,IPv6.  [default: that of the default route]")
@click.option("--api-port", type=int, help="Port of the API server.  [default: 6443]")
@click.option("--kubelet-port", type=int, help="Port of the kubelet.  [default: 10250]")
@click.option("--pod-cidr", help="Range of all Pods' addresses, or IPv4,IPv6.  [default: 10.244.0.0/16]")
@click.option("--service-cidr", help="Range of Services' addresses, or IPv4,IPv6.  [default: 10.96.0.0/16]")
@click.option(
    "--node-cidr-mask-size", "node_mask_bits", type=int, help="Size of a node's range of Pods.  [default: 24]"
)
@click.option(
    "--node-cidr-mask-size-ipv6", "node_mask_bits_ipv6", type=int, help="The same of IPv6.  [default: 64]"
)
@click.option(
    "--load-balancer-pool", help="Addresses for balanced Services: FIRST-LAST or CIDR, with commas."
)
@click.option(
    "--node-monitor-grace-period",
    "node_grace_s",
    type=float,
    help="Seconds after which a silent node's Pods are taken for lost.  [default: 40]",
)
@click.option("--store", help="etcd cluster for the objects: etcd://HOST:PORT[,HOST:PORT…], or https://….")
@click.option("--etcd", "managed", is_flag=True, help="Run etcd of the system's packages beside this server.")
@click.option("--etcd-ca", help="With --store: CA of etcd's servers (PEM file), for https.")
@click.option("--etcd-cert", help="With --store: certificate by which etcd knows this server.")
@click.option("--etcd-key", help="With --store: key of that certificate.")
@click.option("--etcd-prefix", help='With --store: what stands before every key, like "/name".')
@host_options.host_options
@audit_options.audit_options
def up(managed: bool, **options: object) -> None:
    """Start this node's cluster, or resume it: safe to call at any time."""
    errors.require_root("up")
    if managed:
        if options["store"]:
            raise errors.failure("--etcd and --store exclude each other")
        options["store"] = node_config.ETCD
    recorded = audit_options.taken(options)
    config = audit_options.applied(settings.current_or_default(**_with_node_range(options)), recorded)
    began, since = time.monotonic(), datetime.datetime.now(datetime.UTC)
    with node.alone(config.paths):
        if node.running_pid(config.paths) is None:
            _refuse_other_ranges(config)
            check(config)
            _prepare(config)
        else:
            since = datetime.datetime.min.replace(tzinfo=datetime.UTC)
            _refuse_changes(config)
    readiness.wait_until_ready(config, since)
    click.echo(f"Node {config.node_name} is Ready ({time.monotonic() - began:.1f} s)")
    if config.is_worker:
        click.echo(f"worker of:  {config.joined}")
        return
    click.echo(f"kubeconfig: {config.paths.admin_kubeconfig}")
    click.echo("try:        nanokube kubectl get pods -A     nanokube demo     nanokube status")


def _with_node_range(options: dict[str, object]) -> dict[str, object]:
    """This node's share of ranges given by hand is the first part of each, or all of a smaller one.

    A host is given the ranges of its addresses' families if it says only these.
    """
    pods, given = options.get("pod_cidr"), dict(options)
    if not isinstance(pods, str):
        node_ip = options.get("node_ip")
        if not isinstance(node_ip, str) or node_config.load(paths.Paths()) is not None:
            return options
        try:
            pods, services = ranges.default_ranges(addresses.split(node_ip))
        except ValueError:
            return options  # refused with the rest
        given |= {"pod_cidr": pods, "service_cidr": options.get("service_cidr") or services}
    bits = (options.get("node_mask_bits") or 24, options.get("node_mask_bits_ipv6") or 64)
    try:
        return {**given, "node_pod_cidr": ranges.node_share(pods, *map(int, map(str, bits)))}
    except ranges.RangeError as err:
        raise errors.failure(str(err)) from err
    except ValueError as err:
        raise errors.failure(
            f"pod range {pods} cannot be parted as --node-cidr-mask-size says: {err}"
        ) from err


def check(config: node_config.NodeConfig, *, warns: bool = True) -> None:
    """Run the host's checks: what is missing ends the verb, or is warned of."""
    for result in checks.run_all(config):
        if result.is_ok:
            continue
        if result.is_fatal:
            raise errors.failure(f"{result.name}: {result.found}", result.remedy)
        if warns:
            click.echo(f"warning: {result.name}: {result.found}; remedy: {result.remedy}", err=True)


def _prepare(config: node_config.NodeConfig) -> None:
    if config.store == node_config.ETCD:
        _prepare_etcd(config)
    with phases.phase("certificates and settings"):
        try:
            node_config.save(config)
            if not config.is_worker:
                bootstrap.ensure_credentials(config, datetime.datetime.now(datetime.UTC))
            readiness.wait_until_claimed(config, node.start(config))
        except bootstrap.CredentialError as err:
            raise errors.failure(str(err)) from err
        except OSError as err:
            where = f" {err.filename}" if err.filename else ""
            raise errors.failure(f"cannot write{where}: {err.strerror or err}") from err


def _prepare_etcd(config: node_config.NodeConfig) -> None:
    from nanokube.roles import etcd  # gRPC takes a while to import

    with phases.phase("etcd"):
        try:
            if etcd.ensure_program():
                click.echo(f"installed {etcd.PACKAGE}")
            etcd.ensure_credentials(config, datetime.datetime.now(datetime.UTC))
        except (etcd.EtcdError, bootstrap.CredentialError) as err:
            raise errors.failure(str(err)) from err


def _refuse_changes(config: node_config.NodeConfig) -> None:
    needed = config.paths.kubeconfig("kubelet") if config.is_worker else config.paths.admin_kubeconfig
    if node_config.load(config.paths) is None or not needed.exists():
        raise errors.failure(
            f"the running node's files in {config.paths.etc} are gone",
            "put them back, or `nanokube down` and `nanokube up`: it makes new ones",
        )
    if node_config.load(config.paths) != config:
        raise errors.failure("cannot change a running node's settings", "run `nanokube down` first")


def _refuse_other_ranges(config: node_config.NodeConfig) -> None:
    """Objects that are stored have addresses of the ranges that were; nothing would renumber them."""
    known = node_config.load(config.paths)
    if known is not None and known.is_worker and known != config:
        raise errors.failure(
            "cannot change what this worker joined with", "run `nanokube reset`, then join with other options"
        )
    if known is None or not config.paths.store.exists():
        return
    if known.store != config.store and (known.paths.store / "cluster.db").exists():
        old, new = (each.store or "SQLite" for each in (known, config))
        raise errors.failure(
            f"cannot change the store of a cluster from {old} to {new}",
            "run `nanokube down`, then `nanokube store migrate --to …`: objects move along",
        )
    for name in node_config.FIXED:
        old, new = getattr(known, name), getattr(config, name)
        if old != new:
            raise errors.failure(
                f"cannot change the {name.replace('_', ' ')} of a cluster from {old} to {new}",
                "leave the option out, or start anew with `nanokube reset`",
            )
