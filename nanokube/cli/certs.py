"""`nanokube certs`: the certificates of this node, when they end and who renews them."""

import asyncio
import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from nanokube.cli import errors, settings
from nanokube.kit import pki
from nanokube.roles import bootstrap, discovery
from nanokube.roles import config as node_config

PIPE_WIDTH = 400  # what reads a pipe finds each certificate on one line


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """One line of the list."""

    name: str
    described: pki.Described
    renews: str


@click.group(invoke_without_command=True)
@click.pass_context
def certs(ctx: click.Context) -> None:
    """Show this node's certificates, and renew them."""
    if ctx.invoked_subcommand is not None:
        return
    errors.require_root("certs")
    config = settings.saved()
    now = datetime.datetime.now(datetime.UTC)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "SUBJECT", "NAMES", "EXPIRES", "RENEWS"):
        table.add_column(heading, overflow="fold")
    for each in shown(config):
        left = (each.described.not_after - now).days
        expires = f"{each.described.not_after:%Y-%m-%d} ({left} d)"
        table.add_row(
            each.name, each.described.subject, ", ".join(each.described.names), expires, each.renews
        )
    console.print(table)
    console.print(
        "renewed by the running node by themselves; whoever uses them takes up the new ones at once"
    )


@certs.command()
@click.argument("names", nargs=-1)
@click.option("--authorities", is_flag=True, help="Renew the authorities too. Their keys stay.")
def renew(names: tuple[str, ...], authorities: bool) -> None:
    """Renew the certificates called NAMES (all if none is named) now.

    A renewed authority has its former key: what it signed stays valid, and so does --ca-hash. Whoever trusts
    the former certificate does so until that one ends.
    """
    errors.require_root("certs renew")
    config = settings.saved()
    listed = list(shown(config))
    own = [each.name for each in listed if each.described.is_authority and not config.is_worker]
    known = [each.name for each in listed if not each.described.is_authority]
    chosen = names or tuple(known)
    known += own
    if authorities:
        chosen += tuple(own)
    for name in names:
        if name not in known:
            raise errors.failure(f"there is no certificate {name} to renew", f"there are: {', '.join(known)}")
    if config.is_worker:
        # Only a worker needs the client, which takes a while to import.
        from nanokube.roles import join

        try:
            made = asyncio.run(join.renew(config, chosen))
        except discovery.JoinError as err:
            raise errors.failure(str(err), err.remedy) from err
    else:
        now = datetime.datetime.now(datetime.UTC)
        try:
            made = bootstrap.ensure_credentials(config, now, renew=chosen)
            if config.store == node_config.ETCD:
                from nanokube.roles import etcd  # its client takes a while to import

                made += etcd.ensure_credentials(config, now, renew=chosen)
        except bootstrap.CredentialError as err:
            raise errors.failure(str(err)) from err
    for name in made:
        click.echo(f"renewed {name}")


def shown(config: node_config.NodeConfig) -> Iterator[Shown]:
    """Yield the certificates on disk, the cluster's authority first; etcd's are named etcd/server etc."""
    directory = config.paths.pki
    found = [*sorted(directory.glob("*")), *sorted((directory / "etcd").glob("*"))]
    files = [each for each in found if each.suffix in (".crt", ".pem")]
    for file in sorted(files, key=lambda each: each != directory / "ca.crt"):
        try:
            described = pki.describe(file.read_bytes())
        except ValueError as err:
            raise errors.failure(f"cannot read {file}: {err}", "`nanokube up` makes it anew") from err
        name = str(file.relative_to(directory).with_suffix(""))
        yield Shown(name, described, renews(file, described))


def renews(file: Path, described: pki.Described) -> str:
    """Say when a certificate is renewed. Pure."""
    if described.is_authority:
        return f"{described.not_after - pki.AUTHORITY_RENEWAL_MARGIN:%Y-%m-%d}, by the same key"
    if file.suffix == ".pem":
        lifetime = described.not_after - described.not_before
        first, last = described.not_before + lifetime * 0.7, described.not_before + lifetime * 0.9
        return f"between {first:%Y-%m-%d} and {last:%Y-%m-%d}, by the cluster"
    return f"{described.not_after - pki.RENEWAL_MARGIN:%Y-%m-%d}"
