"""`nanokube backup`, `nanokube restore`, `nanokube store migrate`: the cluster's objects as a whole."""

from pathlib import Path

import click

from nanokube.cli import errors, phases, settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Write all of the cluster's objects to FILE. It holds Secrets: guard it.

    With SQLite the node may run or not; with etcd that must run.

    Keys and certificates in /etc/nanokube/pki, and Pods' data on nodes, are not part of it. Secrets are
    encrypted in it as in the store: they need the keys in /etc/nanokube/pki/encryption.yaml to be read.
    """
    errors.require_root("backup")
    config = settings.saved()
    _demand_server(config.is_worker)
    from nanokube.roles import backup as roles_backup  # gRPC takes a while to import

    try:
        done = roles_backup.save(config, file)
    except roles_backup.BackupError as err:
        raise errors.failure(str(err), err.hint) from err
    click.echo(f"{done.entries} objects at revision {done.revision} in {file}")
    if done.keys:
        place = config.paths.pki / "encryption.yaml"
        needs = ", ".join(done.keys)
        click.echo(f"warning: it cannot be restored without {needs}: keep a copy of {place}", err=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(file: Path, yes: bool) -> None:
    """Replace the cluster's objects by those in FILE, which `nanokube backup` wrote.

    With SQLite the node must be down; with etcd it must run, and all servers begin anew.
    """
    errors.require_root("restore")
    config = settings.saved()
    _demand_server(config.is_worker)
    from nanokube.roles import backup as roles_backup

    if not file.is_file():
        raise errors.failure(f"cannot restore {file}: there is no such file")
    if not yes:
        click.confirm("This replaces all objects of the cluster. Go on?", abort=True)
    try:
        with phases.phase("objects"):
            done = roles_backup.load(config, file)
    except roles_backup.BackupError as err:
        raise errors.failure(str(err), err.hint) from err
    click.echo(f"{done.entries} objects restored; the cluster goes on at revision {done.revision}")
    if not config.store:
        click.echo("next: nanokube up")


@click.group()
def store() -> None:
    """Change where the cluster's objects are."""


@store.command()
@click.option(
    "--to", "to", required=True, help='URL of an etcd cluster, or "etcd" for one that nanokube runs.'
)
@click.option("--etcd-ca", help="CA of its servers (PEM file), for https.")
@click.option("--etcd-cert", help="Certificate by which it knows this server.")
@click.option("--etcd-key", help="Key of that certificate.")
@click.option("--etcd-prefix", help='What stands before every key, like "/name", to share it.')
def migrate(to: str, **options: object) -> None:
    """Move the cluster's objects from SQLite to etcd. The node must be down; `nanokube up` goes on there."""
    errors.require_root("store migrate")
    config = settings.saved()
    _demand_server(config.is_worker)
    target = settings.current_or_default(store=to, **options)
    from nanokube.roles import backup as roles_backup

    try:
        with phases.phase("objects"):
            done = roles_backup.migrate(config, target)
    except roles_backup.BackupError as err:
        raise errors.failure(str(err), err.hint) from err
    click.echo(f"{done.entries} objects moved to {to} at revision {done.revision}; SQLite's file is kept")
    click.echo("next: nanokube up")


def _demand_server(is_worker: bool) -> None:
    if is_worker:
        raise errors.failure("a worker has no objects of the cluster", "call this on one of its servers")
