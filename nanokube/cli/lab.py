"""`nanokube lab`: a cluster of several nodes on this machine, and what can go wrong between them."""

import json
import os
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from nanokube.cli import errors, phases
from nanokube.cli.kubectl import Passthrough, find
from nanokube.lab import cluster, control, faults, place


class Group(click.Group):
    """A group whose verbs say in one line what the lab cannot do."""

    def invoke(self, ctx: click.Context) -> object:
        errors.require_root("lab", is_group=True)
        try:
            return super().invoke(ctx)
        except place.LabError as err:
            raise errors.failure(str(err), err.hint) from err


@click.group(cls=Group)
@click.option("--name", default=place.DEFAULT_NAME, show_default=True, help="Which lab; several may run.")
@click.pass_context
def lab(ctx: click.Context, name: str) -> None:
    """Make a cluster of several nodes on this machine; partition, delay and kill them."""
    if not place.NAME.fullmatch(name):
        raise place.LabError(f"{name!r} cannot name a lab", "use lower-case letters, digits and dashes")
    ctx.obj = name


@lab.command()
@click.option("--nodes", default=3, show_default=True, help="Nodes in all, servers included.")
@click.option("--servers", default=1, show_default=True, help="Of these, servers; more than one run etcd.")
@click.option(
    "--ip-family",
    type=click.Choice(list(place.SUBNETS)),
    default="ipv4",
    show_default=True,
    help="Of nodes, Pods and Services; dual: both, IPv4 first.",
)
@click.option("--subnet", help=f"Range of the nodes' addresses, by default {place.SUBNET}.")
@click.option("--bare", is_flag=True, help="Switch the nodes on, and start nothing in them.")
@click.pass_obj
def up(name: str, nodes: int, servers: int, ip_family: str, subnet: str | None, bare: bool) -> None:
    """Make a lab and a cluster of its nodes: s1, s2 … are servers, w1, w2 … workers."""
    began = time.monotonic()
    planned = place.plan(
        name, place.home() / name, servers, nodes - servers, subnet or place.SUBNETS[ip_family]
    )
    if planned.ip_family != ip_family:
        raise place.LabError(
            f"range {subnet} is not what --ip-family {ip_family} needs", f"such as {place.SUBNETS[ip_family]}"
        )
    try:
        with phases.phase("machines"):
            made = control.create(planned)
        if not bare:
            cluster.bring_up(
                made, lambda node: click.echo(f"       {node} is Ready ({time.monotonic() - began:.1f} s)")
            )
    except place.LabIsThereError:
        raise
    except BaseException:
        if planned.directory.exists() and not os.environ.get("NANOKUBE_LAB_KEEP"):
            control.destroy(name)
        raise
    click.echo(f"lab {name}: {nodes} nodes ({time.monotonic() - began:.1f} s)")
    verbs = ("kubectl get nodes", "kill w1" if nodes > servers else "status", "down")
    click.echo(f"try:   {'     '.join(f'{command(name)} {verb}' for verb in verbs)}")


def command(name: str) -> str:
    """Write the command whose verbs are about a lab."""
    return "nanokube lab" if name == place.DEFAULT_NAME else f"nanokube lab --name {name}"


@lab.command()
@click.option("--all", "every", is_flag=True, help="All labs.")
@click.pass_obj
def down(name: str, every: bool) -> None:
    """End a lab: nothing of it stays."""
    for each in control.names() if every else [name]:
        found = control.destroy(each)
        click.echo(f"lab {each} has ended" if found else f"there was no lab {each}")


@lab.command("list")
def list_() -> None:
    """List the labs of this machine."""
    names = control.names()
    for each in names:
        click.echo(each)
    if not names:
        click.echo("no lab is up; make one: `sudo nanokube lab up`", err=True)


@lab.command()
@click.pass_obj
def status(name: str) -> None:
    """Show a lab's nodes and what is injected into them."""
    found = place.load(name)
    injected = place.load_faults(found)
    table = Table(box=None, pad_edge=False)
    for heading in ("NODE", "ROLE", "ADDRESS", "POWER", "FAULTS"):
        table.add_column(heading)
    for node in found.nodes:
        power = "on" if node.pid else "[red]off[/]"
        table.add_row(node.name, node.role, node.address, power, describe(injected.get(node.name, {})))
    Console(highlight=False).print(table)


def describe(of: dict[str, object]) -> str:
    """Say what is wrong with a node."""
    words = {"blocked": "hears nothing of", "loss_percent": "loses %", "delay_ms": "delays ms"}
    parts = []
    for key, value in of.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else f"{value:g}"
        parts.append(f"{words.get(key, 'clock off by s')}: {shown}")
    return "; ".join(parts)


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def exec_(name: str, node: str, command: tuple[str, ...]) -> None:
    """Run a command in a node: lab exec w1 -- ip route."""
    whole = [*control.enter(place.load(name), node), *command]
    os.execvp(whole[0], whole)


@lab.command(cls=Passthrough)
@click.pass_context
def kubectl(ctx: click.Context) -> None:
    """Run stock kubectl on a server that is on."""
    found = place.load(ctx.obj)
    whole = [*control.enter(found, control.server_of(found).name), os.fspath(find()), *ctx.args]
    os.execvp(whole[0], whole)


@lab.command()
@click.argument("ones")
@click.argument("others", required=False)
@click.option("--one-way", is_flag=True, help="Only what the first ones send is lost.")
@click.pass_obj
def partition(name: str, ones: str, others: str | None, one_way: bool) -> None:
    """Cut nodes (s1,s2) off from others, or from all others."""
    found = place.load(name)
    first = ones.split(",")
    second = others.split(",") if others else [n.name for n in found.nodes if n.name not in first]
    faults.inject(found, faults.cut(found, place.load_faults(found), first, second, one_way=one_way))


@lab.command()
@click.argument("nodes", nargs=-1)
@click.pass_obj
def heal(name: str, nodes: tuple[str, ...]) -> None:
    """End partitions, loss and delay of nodes, or of all."""
    found = place.load(name)
    faults.inject(found, faults.healed(found, place.load_faults(found), nodes))


@lab.command()
@click.argument("node")
@click.argument("percent", type=click.FloatRange(0, 100))
@click.pass_obj
def loss(name: str, node: str, percent: float) -> None:
    """Lose a share of the packets that a node is sent."""
    _give(name, node, loss_percent=percent)


@lab.command()
@click.argument("node")
@click.argument("milliseconds", type=click.FloatRange(0, 60_000))
@click.pass_obj
def delay(name: str, node: str, milliseconds: float) -> None:
    """Delay the packets that a node sends."""
    _give(name, node, delay_ms=milliseconds)


@lab.command(context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("seconds", type=float)
@click.pass_obj
def clock(name: str, node: str, seconds: float) -> None:
    """Put the clock of a node's agent and manager forward, or back by a number below 0."""
    _give(name, node, clock_s=seconds)


def _give(name: str, node: str, **values: float) -> None:
    found = place.load(name)
    faults.inject(found, faults.given(found, place.load_faults(found), node, **values))


@lab.command()
@click.argument("nodes", nargs=-1, required=True)
@click.pass_obj
def kill(name: str, nodes: tuple[str, ...]) -> None:
    """Switch nodes off at once, as a loss of power does; their disks are kept."""
    found = place.load(name)
    for node in nodes:
        control.power(found, node, on=False)


@lab.command()
@click.argument("nodes", nargs=-1, required=True)
@click.pass_obj
def start(name: str, nodes: tuple[str, ...]) -> None:
    """Switch nodes on again and have them resume their place in the cluster."""
    found = place.load(name)
    for node in nodes:
        cluster.resume(found, node)


@lab.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True, help="Of what a scenario leaves to chance.")
@click.pass_obj
def run(name: str, file: Path, seed: int) -> None:
    """Run a scenario file on a lab."""
    from nanokube.lab import scenario

    for told in scenario.run(place.load(name), find(), scenario.read(file), seed=seed):
        click.echo(told)


@lab.command(hidden=True)
@click.pass_obj
def record(name: str) -> None:
    """Print a lab's record, for programs."""
    found = place.load(name)
    click.echo(json.dumps({node.name: node.address for node in found.nodes}))
