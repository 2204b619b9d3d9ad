"""`nanokube etcd`: the members of the etcd beside the servers."""

import click
from rich.console import Console
from rich.table import Table

from nanokube.cli import errors, phases, settings
from nanokube.roles import config as node_config


@click.group()
def etcd() -> None:
    """Show who is a member of the cluster's etcd, and take out a server that is lost."""


@etcd.command()
def members() -> None:
    """List the members; exits with 1 if one does not answer."""
    config = _server()
    from nanokube.roles import etcd as roles_etcd  # gRPC takes a while to import
    from nanokube.roles import etcd_members

    try:
        found = etcd_members.listed(config)
    except roles_etcd.EtcdError as err:
        raise errors.failure(str(err), err.hint) from err
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "ADDRESS", "ROLE", "STATE"):
        table.add_column(heading)
    for each in found:
        role = "learner" if each.is_learner else "leader" if each.is_leader else "follower"
        state = "answers" if each.is_answering else "[red]does not answer[/]"
        table.add_row(each.name or "(not started yet)", each.address, role, state)
    Console(highlight=False).print(table)
    raise SystemExit(0 if all(each.is_answering for each in found) else 1)


@etcd.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take out the member called NAME, or of this address, whose server is lost for good.

    A server that lives leaves by `nanokube reset` on it. While a lost one is a member, it counts for the
    majority, and no server can join but one of its name.
    """
    config = _server()
    from nanokube.roles import etcd as roles_etcd
    from nanokube.roles import etcd_members

    try:
        gone = etcd_members.remove(config, name)
    except roles_etcd.EtcdError as err:
        raise errors.failure(str(err), err.hint) from err
    click.echo(f"{gone.name or 'a server that never started'} ({gone.address}) is no member of etcd any more")
    if gone.name:
        click.echo(f"next: nanokube kubectl delete node {gone.name}")


@etcd.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def recover(yes: bool) -> None:
    """Go on with this server alone, when most servers are lost for good.

    The node must be down (`nanokube down --keep-pods`). This server's etcd becomes a cluster of its own, with
    the objects that it has; further servers join it anew. Those of before must never start again with what
    they hold: two clusters would give the same workers different orders.
    """
    config = _server()
    from nanokube.roles import etcd as roles_etcd
    from nanokube.roles import etcd_members, node

    if config.store != node_config.ETCD:
        raise errors.failure("this server runs no etcd", "that of --store is for its own tools")
    with node.alone(config.paths):
        if node.running_pid(config.paths) is not None:
            raise errors.failure(
                "cannot recover etcd: the node runs", "run `nanokube down --keep-pods` first"
            )
        if not yes:
            click.confirm("Are the other servers lost, or reset? Go on?", abort=True)
        try:
            with phases.phase("etcd"):
                etcd_members.recover(config)
        except roles_etcd.EtcdError as err:
            raise errors.failure(str(err), err.hint or f"see {config.paths.log}/etcd.log") from err
    click.echo("etcd is of this server alone; what other servers are left must be reset: nanokube reset")
    click.echo("next: nanokube up")


def _server() -> node_config.NodeConfig:
    errors.require_root("etcd", is_group=True)
    config = settings.saved()
    if config.is_worker:
        raise errors.failure("a worker has no etcd", "call this on one of the servers")
    return config
