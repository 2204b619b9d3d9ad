"""Backup, restore and migration of a cluster's objects, for the command line.

A backup is made of a running or stopped server alike. What is restored goes on behind every revision that may
have been given out, so that no client takes an old state for a newer one.
"""

import asyncio
import dataclasses
import datetime
import time
from collections.abc import Sequence
from pathlib import Path

from nanokube.kit import clock
from nanokube.roles import config as node_config
from nanokube.roles import encryption_keys, encryption_servers, etcd, node
from nanokube.storage import backup
from nanokube.storage.encryption import prefix, transformer
from nanokube.storage.encryption import store as encryption
from nanokube.storage.encryption.configuration import ConfigurationError
from nanokube.storage.encryption.errors import Unreadable
from nanokube.storage.etcd import restore as etcd_restore
from nanokube.storage.etcd import store as etcd_store
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.sqlite import copy
from nanokube.storage.store import StoreError

EVENT_TTL_S = 3600.0  # kube-apiserver --event-ttl: etcd does not tell when a lease ends
EVENTS = "/registry/events/"
ETCD_HINT = "is etcd there? `nanokube up` starts it"


class BackupError(RuntimeError):
    """It cannot be done; the message says why, hint what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """What was copied, and the revision that the store has now. keys: by which some of it is encrypted."""

    entries: int
    revision: int
    keys: Sequence[str] = ()


def save(config: node_config.NodeConfig, file: Path) -> Done:
    """Write a backup. Blocks. Raises BackupError."""
    store = etcd.store(config)
    try:
        revision, records = _read(store)
        header = backup.Header(
            revision,
            datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "etcd" if isinstance(store, EtcdSettings) else "sqlite",
            len(records),
        )
        backup.write(file, header, records)
    except (OSError, StoreError, copy.CopyError) as err:
        is_etcd = isinstance(err, StoreError) and not isinstance(err, etcd_store.Restoring)
        hint = ETCD_HINT if config.store and is_etcd else ""
        raise BackupError(f"cannot back up to {file}: {_said(err)}", hint) from err
    ways = {prefix.prefix_of(record.value) for record in records} - {b""}
    return Done(len(records), revision, sorted(map(prefix.spoken, ways)))


def load(config: node_config.NodeConfig, file: Path) -> Done:
    """Replace the cluster's objects by a backup's. Blocks. Raises BackupError."""
    try:
        header = backup.check(file)
        _demand_keys(config, file)
        floor = header.revision + backup.BUMP
        store = etcd.store(config)
        if isinstance(store, EtcdSettings):
            filling = etcd_restore.fill(
                _plain(store), backup.records(file), floor, kept=encryption_servers.KNOWN
            )
            revision = asyncio.run(filling)
        else:
            _demand_stopped(config, "restore")
            revision = copy.replace(store, backup.records(file), floor)
    except (OSError, StoreError, copy.CopyError) as err:
        hint = f"{ETCD_HINT}; then call this again, servers wait for it" if config.store else ""
        raise BackupError(f"cannot restore {file}: {_said(err)}", hint) from err
    except backup.DamagedBackup as err:
        raise BackupError(str(err)) from err
    return Done(header.entries, revision)


def migrate(config: node_config.NodeConfig, target: node_config.NodeConfig) -> Done:
    """Copy the objects from SQLite to an etcd that has none of ours; revisions go on. Blocks.

    target: the settings with the etcd, which are saved when all is there. Raises BackupError.
    """
    source, store = etcd.store(config), etcd.store(target)
    if isinstance(source, EtcdSettings):
        raise BackupError("cannot migrate: this cluster is on etcd already")
    assert isinstance(store, EtcdSettings)
    _demand_stopped(config, "migrate")
    try:
        with etcd.serving(target):
            _demand_empty(target, _plain(store))
            revision, records = _read(source)
            done = asyncio.run(etcd_restore.fill(_plain(store), records, revision))
    except (OSError, StoreError, copy.CopyError, etcd.EtcdError) as err:
        raise BackupError(
            f"cannot migrate to {target.store}: {_said(err)}", getattr(err, "hint", "")
        ) from err
    node_config.save(target)
    return Done(len(records), done)


def _demand_empty(target: node_config.NodeConfig, store: EtcdSettings) -> None:
    """Look whether there is nothing in etcd, or what a migration left that was broken off.

    In an etcd of others a restore of theirs may be under way.
    """
    found = asyncio.run(etcd_restore.count(store))
    is_own = target.store == node_config.ETCD
    if not found or (is_own and asyncio.run(etcd_restore.is_unfinished(store))):
        return
    remedy = f"move {target.paths.etcd} away" if is_own else "give --etcd-prefix /another, or remove them"
    raise BackupError(f"cannot migrate to {target.store}: it has {found} keys of a cluster already", remedy)


def _demand_keys(config: node_config.NodeConfig, file: Path) -> None:
    """Look whether the server will be able to read what is restored."""
    keys = encryption_keys.path(config)
    try:
        known = transformer.Transformer(encryption.read(keys), clock.SYSTEM)
        for record in backup.records(file):
            known.unseal(record.key, record.value, may_ask=True)
    except (Unreadable, ConfigurationError) as err:
        hint = f"put the {keys} of that time there, or its keys behind the one that is there"
        raise BackupError(f"cannot restore {file}: {err}", hint) from err


def _read(store: EtcdSettings | Path) -> tuple[int, Sequence[backup.Record]]:
    if isinstance(store, Path):
        return copy.read(store)
    return asyncio.run(_read_etcd(store))


async def _read_etcd(store: EtcdSettings) -> tuple[int, Sequence[backup.Record]]:
    async with etcd.opened(store) as opened:
        found = await opened.range("/registry/", "/registry0")
    ends = time.time() + EVENT_TTL_S
    return found.revision, [
        backup.Record(
            e.key, e.value, e.create_revision, e.mod_revision, ends if e.key.startswith(EVENTS) else 0.0
        )
        for e in sorted(found.entries, key=lambda e: e.mod_revision)
    ]


def _plain(store: EtcdSettings) -> EtcdSettings:
    return dataclasses.replace(store, learns=False)


def _demand_stopped(config: node_config.NodeConfig, verb: str) -> None:
    if node.running_pid(config.paths) is not None:
        raise BackupError(
            f"cannot {verb}: the node runs, and its server has the store",
            "run `nanokube down --keep-pods` first, `nanokube up` after",
        )


def _said(err: Exception) -> str:
    if isinstance(err, OSError) and err.strerror:
        return f"{err.filename}: {err.strerror}" if err.filename else err.strerror
    return str(err) or type(err).__name__
