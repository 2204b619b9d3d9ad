"""An acknowledged write survives SIGKILL of its process, and what is reopened is what was."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nanokube.storage.backup import Record
from nanokube.storage.sqlite import applier, copy, log, schema
from nanokube.storage.sqlite.log import Write
from nanokube.storage.sqlite.store import SqliteStore
from nanokube.storage.store import Broken, Event

WRITER = """
import asyncio, os, sys
from pathlib import Path
from nanokube.storage.sqlite.store import SqliteStore

async def one(store, i):
    n = 0
    while True:
        revision = await store.put(f"/{i}/{n}", b"%d" % n, expect=0)
        os.write(1, b"%d /%d/%d\\n" % (revision, i, n))
        n += 1

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    async with asyncio.TaskGroup() as group:
        for i in range(8):
            group.create_task(one(store, i))

asyncio.run(main())
"""


def write_until_killed(path: Path) -> dict[str, int]:
    """Run the writer, kill it in the middle, and return what it acknowledged."""
    acknowledged: dict[str, int] = {}
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(300)]
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.stdout.read().splitlines(keepends=True)
    for line in lines:
        if line.endswith(b"\n"):
            revision, key = line.split()
            acknowledged[key.decode()] = int(revision)
    return acknowledged


async def test_acknowledged_writes_survive_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    acknowledged = write_until_killed(path)
    assert len(acknowledged) >= 300
    store = await SqliteStore.open(path)
    try:
        found = {e.key: e.mod_revision for e in (await store.range("/", "0")).entries}
        assert {key: found.get(key) for key in acknowledged} == acknowledged
        assert store.revision == max(found.values())
        assert await store.put("/next", b"") == store.revision
    finally:
        await store.close()


async def test_revision_and_expiry_survive_reopening(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path)
    await store.put("/a", b"x", expires=5.0)
    await store.put("/b", b"x")
    revision = await store.delete("/b")
    await store.compact(revision)
    with pytest.raises(BlockingIOError):
        await SqliteStore.open(path)
    await store.close()
    again = await SqliteStore.open(path)
    assert (again.revision, again.compacted) == (revision, revision)
    assert again.expired(6.0) == [("/a", 2)]
    await again.close()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_writer_that_cannot_open_its_file_fails_every_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(28, f"cannot open {path}")

    monkeypatch.setattr(log, "_open", refuse)
    store = await SqliteStore.open(tmp_path / "store.db")
    try:
        with pytest.raises(Broken, match="cannot open"):
            async with asyncio.timeout(5):
                await store.put("/a", b"1", expect=0)
        assert not store.is_healthy
    finally:
        await store.close()


async def fill(store: SqliteStore) -> None:
    """Make /a changed, /b gone, /c new, of which the tables have the first versions of /a and /b."""
    await store.put("/a", b"1")
    await store.put("/b", b"1")
    await store.range("/a")  # waits for the tables
    await store.put("/a", b"2")
    await store.delete("/b")
    await store.put("/c", b"1", expires=9.0)


async def check(store: SqliteStore) -> None:
    """Expect what fill made."""
    found = await store.range("/", "0")
    assert [(e.key, e.value, e.mod_revision) for e in found.entries] == [("/a", b"2", 4), ("/c", b"1", 6)]
    first = await store.range("/", "0", limit=1)
    assert ([e.key for e in first.entries], first.count) == (["/a"], 2)
    assert [e.key for e in (await store.range("/", "0", revision=4)).entries] == ["/a", "/b"]
    seen: list[Event] = []
    await store.watch("/", 3, seen.extend)
    assert [(e.revision, e.value) for e in seen] == [(4, b"2"), (5, None), (6, b"1")]
    assert store.revision == 6


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Let the tables refuse to be written, or take writes again."""
    real, is_full = applier.apply, False

    def apply(db: sqlite3.Connection, writes: Sequence[Write]) -> None:
        if is_full:
            raise sqlite3.OperationalError("database or disk is full")
        real(db, writes)

    def switch(value: bool) -> None:
        nonlocal is_full
        is_full = value

    monkeypatch.setattr(applier, "apply", apply)
    return switch


async def test_what_full_tables_do_not_take_is_served_from_the_log_and_kept(
    tmp_path: Path, stuck: Callable[[bool], None]
) -> None:
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path)
    await fill(store)
    assert store.is_healthy
    stuck(True)
    with pytest.raises(Broken, match="full"):
        await store.compact(3)
    await check(store)
    assert not store.is_healthy
    with pytest.raises(Broken, match="full"):
        await store.put("/d", b"1")
    await store.close()

    store = await SqliteStore.open(path)  # the disk is full yet
    assert not store.is_healthy
    await check(store)
    with pytest.raises(Broken, match="full"):
        await store.put("/d", b"1")
    await store.close()
    assert copy.read(path)[0] == 6

    stuck(False)
    store = await SqliteStore.open(path)
    await check(store)
    assert store.expired(10.0) == [("/c", 6)]
    assert await store.put("/c", b"2", expect=6) == 7
    await store.close()
    assert copy.read(path) == (7, [Record("/a", b"2", 2, 4), Record("/c", b"2", 6, 7)])


async def test_a_file_of_version_1_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    db = sqlite3.connect(path)
    db.executescript(
        schema._TABLES + "INSERT INTO kv VALUES(2, '/a', 2, 0, 0, 0, x'31'); PRAGMA user_version=1"
    )
    db.close()
    assert copy.read(path) == (2, [Record("/a", b"1", 2, 2)])
    store = await SqliteStore.open(path)
    assert await store.put("/a", b"2", expect=2) == 3
    assert copy.read(path) == (3, [Record("/a", b"2", 2, 3)])
    await store.close()


async def test_what_only_the_log_has_is_kept_when_the_store_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    written = write_until_killed(path)
    known = copy.read(path)
    assert {r.key: r.mod_revision for r in known[1]}.items() >= written.items()
    copy.replace(path, [], 0)
    assert copy.read(path.with_name("store.db.replaced")) == known
    assert copy.read(path) == (known[0], [])


async def test_opening_a_known_file_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await (await SqliteStore.open(path)).close()
    db = schema.connect(path)
    try:
        db.execute("PRAGMA query_only=ON")  # what a full disk does to a write
        schema.create(db)
    finally:
        db.close()


CRASHING = """
import asyncio, os, signal, sys
from pathlib import Path
from nanokube.storage.sqlite import log, schema
from nanokube.storage.sqlite.store import SqliteStore

folder, at, count = Path(sys.argv[1]), 0, 0

def die(*_):
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)

real = schema.connect

def connect(path, *, readonly=False):
    db = real(path, readonly=readonly)
    if not readonly:
        db.set_trace_callback(die)  # before each statement
    return db

def write(descriptor, data, at):
    die()
    os.pwrite(descriptor, data[: len(data) // 2], at)  # torn
    die()
    os.pwrite(descriptor, data, at)
    die()  # durable, and nobody knows yet

log._write = write
log.SEGMENT_BYTES = 2000
committed = SqliteStore._on_commit

def on_commit(self, batch):
    die()
    committed(self, batch)

schema.connect = connect
SqliteStore._on_commit = on_commit

async def put(store, key, value):
    revision = await store.put(key, value)
    os.write(1, b"%d %s %s\\n" % (revision, key.encode(), value))

async def main():
    store = await SqliteStore.open(folder / f"{at}.db")
    for n in range(2):
        await asyncio.gather(*(put(store, f"/{i:03}", b"%d" % n) for i in range(100)))  # several statements
        await put(store, "/one", b"%d" % n)
        await store.compact(store.revision - 1)
    os.write(1, b"end\\n")

while True:
    at += 1
    if (child := os.fork()) == 0:
        os.dup2(os.open(folder / f"{at}.told", os.O_WRONLY | os.O_CREAT), 1)
        asyncio.run(main())
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        break
    assert status == -signal.SIGKILL, status
"""


async def test_nothing_acknowledged_is_lost_whichever_statement_is_the_last(tmp_path: Path) -> None:
    """Kill at each SQL statement, before, in and after each write of the log."""
    command = [sys.executable, "-c", CRASHING, str(tmp_path)]  # forks: an interpreter each would take long
    await asyncio.to_thread(subprocess.run, command, check=True)
    crashes = len(list(tmp_path.glob("*.told"))) - 1
    assert crashes > 40
    for at in range(1, crashes + 1):
        lines = (tmp_path / f"{at}.told").read_bytes().splitlines()
        assert b"end" not in lines
        acknowledged = {k.decode(): (int(r), v) for r, k, v in (line.split() for line in lines)}
        store = await SqliteStore.open(tmp_path / f"{at}.db")
        found = {e.key: (e.mod_revision, e.value) for e in (await store.range("/", "0")).entries}
        for key, told in acknowledged.items():
            assert found.get(key, (0, b""))[0] >= told[0], f"at {at}: lost {key}"
            assert found[key] == told or found[key][0] > max(r for r, _ in acknowledged.values())
        assert await store.put("/next", b"") > max([r for r, _ in found.values()], default=1)
        await store.close()
