"""From SQLite to the etcd that nanokube runs: broken off, taken up again, refused where something is."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanokube.roles import backup, etcd
from nanokube.roles import config as node_config
from nanokube.storage.backup import Record
from nanokube.storage.etcd import connection, restore
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.sqlite import copy
from tests.contract.store.etcd import free_ports

RECORDS = [Record(f"/registry/configmaps/a/{i:03}", b"%d" % i, 5 + i, 5 + i) for i in range(250)]


@pytest.fixture
def config(tmp_path: Path) -> node_config.NodeConfig:
    client, peer = free_ports(2)
    config = node_config.NodeConfig(
        "one", "127.0.0.1", root=tmp_path, etcd_client_port=client, etcd_peer_port=peer
    )
    copy.replace(config.paths.store / "cluster.db", RECORDS, 1000)
    return config


def test_a_migration_that_was_broken_off_is_taken_up(config: node_config.NodeConfig) -> None:
    target = dataclasses.replace(config, store=node_config.ETCD)

    def broken_off() -> Iterator[Record]:
        yield from RECORDS[:150]
        raise OSError("no more")

    store = etcd.store(target)
    assert isinstance(store, EtcdSettings)
    with etcd.serving(target), pytest.raises(OSError, match="no more"):
        asyncio.run(restore.fill(dataclasses.replace(store, learns=False), broken_off(), 1000))
    assert backup.migrate(config, target).entries == len(RECORDS)
    saved = node_config.load(config.paths)
    assert saved is not None
    assert saved.store == node_config.ETCD
    with pytest.raises(backup.BackupError, match="250 keys of a cluster already") as caught:
        backup.migrate(config, target)
    assert str(config.paths.etcd) in caught.value.hint


def test_an_etcd_that_does_not_run_is_told_how_to_start(
    config: node_config.NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = dataclasses.replace(config, store=node_config.ETCD)
    etcd.ensure_credentials(target, datetime.datetime.now(datetime.UTC))
    monkeypatch.setattr(connection, "PATIENCE_S", 0.0)
    file = config.paths.root / "backup"
    with pytest.raises(backup.BackupError, match="cannot reach etcd") as caught:
        backup.save(target, file)
    assert "nanokube up" in caught.value.hint
    assert not file.exists()


def test_a_backup_during_a_restore_that_was_broken_off_is_refused(config: node_config.NodeConfig) -> None:
    target = dataclasses.replace(config, store=node_config.ETCD)
    backup.migrate(config, target)
    file = config.paths.root / "backup"

    def broken_off() -> Iterator[Record]:
        yield RECORDS[0]
        raise OSError("no more")

    store = etcd.store(target)
    assert isinstance(store, EtcdSettings)
    with etcd.serving(target):
        assert backup.save(target, file).entries == len(RECORDS)
        with pytest.raises(OSError, match="no more"):
            asyncio.run(restore.fill(dataclasses.replace(store, learns=False), broken_off(), 1000))
        with pytest.raises(backup.BackupError, match="broken off") as caught:
            backup.save(target, file)
        assert not caught.value.hint  # the etcd is there
        assert backup.load(target, file).entries == len(RECORDS)
        assert backup.save(target, file).entries == len(RECORDS)
