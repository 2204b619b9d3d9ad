"""A backup is read as it was written, or not at all; what is put into SQLite goes on behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanokube.storage import backup
from nanokube.storage.sqlite import copy
from nanokube.storage.sqlite.store import SqliteStore
from nanokube.storage.store import Compacted

RECORDS = [
    backup.Record(f"/registry/pods/{i}", b"x" * (i * 1000), 2 + i, 3 + i, 9.5 if i else 0) for i in range(50)
]
HEADER = backup.Header(60, "2026-01-02T03:04:05+00:00", "sqlite", len(RECORDS))


def written(path: Path) -> Path:
    backup.write(path, HEADER, RECORDS)
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = written(tmp_path / "b")
    assert backup.check(file) == HEADER
    assert list(backup.records(file)) == RECORDS
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "empty", "short"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    file = written(tmp_path / "b")
    raw = file.read_bytes()
    file.write_bytes(
        {
            "cut": raw[:-100],
            "flipped": raw[:300] + bytes([raw[300] ^ 1]) + raw[301:],
            "other": b"SQLite format 3\0" + raw,
            "empty": b"",
            "short": raw[:20],
        }[damage]
    )
    with pytest.raises(backup.DamagedBackup, match="cannot read"):
        backup.check(file)


async def test_a_running_store_is_read_and_its_copy_goes_on_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    store = await SqliteStore.open(path)
    await store.put("/a", b"1")
    await store.put("/b", b"1", expires=77.0)
    await store.put("/a", b"2")
    await store.put("/c", b"1")
    await store.delete("/c")
    revision, records = copy.read(path)
    assert revision == store.revision == 6
    assert records == [backup.Record("/b", b"1", 3, 3, 77.0), backup.Record("/a", b"2", 2, 4)]
    with pytest.raises(copy.CopyError, match="has it open"):
        copy.replace(path, records, 0)
    await store.close()

    assert copy.replace(path, records[:1], 100) == 100
    store = await SqliteStore.open(path)
    found = await store.range("/", "0")
    assert [(e.key, e.mod_revision) for e in found.entries] == [("/b", 3)]
    assert (store.revision, store.compacted) == (100, 100)
    with pytest.raises(Compacted):
        await store.watch("/", 6, lambda batch: None)
    assert store.expired(78.0) == [("/b", 3)]
    assert await store.put("/b", b"2", expect=3) == 101
    await store.close()
    assert copy.read(path.with_name("cluster.db.replaced"))[0] == 6
    assert copy.replace(path, records, 0) == 101  # an old backup does not take the cluster back


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(copy.CopyError, match="there is no store"):
        copy.read(tmp_path / "none.db")
