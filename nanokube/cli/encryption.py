"""`nanokube encryption`: by which keys the store's values are encrypted, and their rotation."""

import click
from rich.console import Console
from rich.table import Table

from nanokube.cli import errors, phases, settings
from nanokube.roles import config as node_config
from nanokube.roles import encryption_keys


@click.group()
def encryption() -> None:
    """Show how objects are encrypted at rest, and change the keys.

    What is encrypted stands in /etc/nanokube/pki/encryption.yaml, an EncryptionConfiguration; the server
    follows it. Keep a copy apart from backups: without it their Secrets cannot be read.
    """


@encryption.command()
def status() -> None:
    """Count what is stored by which key."""
    config = _server()
    from nanokube.roles import encryption as roles_encryption  # gRPC takes a while to import

    try:
        found = roles_encryption.status(config)
    except roles_encryption.EncryptionError as err:
        raise errors.failure(str(err), err.hint) from err
    table = Table(box=None, pad_edge=False)
    for heading in ("RESOURCE", "STORED BY", "OBJECTS", ""):
        table.add_column(heading)
    for each in found:
        note = "" if each.is_current else "[yellow]to be written again[/]"
        table.add_row(each.resource, each.by, str(each.count), note)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"keys: {encryption_keys.path(config)}")


@encryption.command()
@click.option(
    "--stage",
    type=click.Choice(["add", "use", "drop"]),
    help="Do this step alone: of several servers, each needs the file in between.",
)
@click.option(
    "--lost",
    multiple=True,
    metavar="ADDRESS",
    help="A server on --store that is gone for good: it needs no keys any more.",
)
def rotate(stage: str | None, lost: tuple[str, ...]) -> None:
    """Make a new key, write everything again by it, and drop the old one.

    Call it again if it was interrupted. With several servers: --stage add, copy the file to all; --stage use,
    copy again; --stage drop, copy again.
    """
    config = _server()
    from nanokube.roles import encryption as roles_encryption

    try:
        for address in lost:
            roles_encryption.forget(config, address)
        done = roles_encryption.rotate(config, roles_encryption.Stage(stage) if stage else None, phases.phase)
    except roles_encryption.EncryptionError as err:
        raise errors.failure(str(err), err.hint) from err
    file = encryption_keys.path(config)
    if done.left:
        click.echo(
            f"{done.left} events are stored by an old key; they end within an hour: call this again then"
        )
    elif done.is_over:
        click.echo(f"rotated; the only key is in {file}: backups made until now need the old one")
    if stage:
        click.echo(f"next: copy {file} to the other servers")


def _server() -> node_config.NodeConfig:
    errors.require_root("encryption", is_group=True)
    config = settings.saved()
    if config.is_worker:
        raise errors.failure("a worker has no objects of the cluster", "call this on one of its servers")
    return config
