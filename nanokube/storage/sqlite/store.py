"""The durable store: a log behind one writer thread, and SQLite's tables behind another, which follow it.

    loop: compare in the index ──batch──> writer: one append to the log (fsync)
      ^                                      │ call_soon_threadsafe
      └── publish to watches, then wake the callers ──many, later──> applier: INSERTs in one transaction

What is accepted while a batch is being committed is the next batch: a thread is woken once a batch.

Reads of values wait for the applier, then run on another connection in a worker thread. If it has failed (a
full disk), what the log has is laid over what is read.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nanokube.storage.fanout import Fanout, Subscription
from nanokube.storage.index import Index, Meta
from nanokube.storage.sqlite import applier, log, schema
from nanokube.storage.sqlite.applier import Applier, Compaction
from nanokube.storage.sqlite.log import Log, Write
from nanokube.storage.sqlite.writer import Writer
from nanokube.storage.store import (
    Broken,
    Compacted,
    Conflict,
    Deliver,
    Entry,
    Event,
    FutureRevision,
    KeyExists,
    NotFound,
    Range,
    prefix_end,
)

APPLY_WRITES: Final = 256  # together they cost the tables half of what they cost alone
APPLY_BYTES: Final = 1 << 20  # less than a segment of the log, which is waited for
APPLY_DELAY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Opened:
    """What was found in the files. unapplied: what the tables could not take, because of failure."""

    lock_fd: int
    index: Index
    compacted: int
    identity: int
    unapplied: list[Write]
    failure: sqlite3.Error | None


class SqliteStore:
    """Open with `await SqliteStore.open(path)`; belongs to the loop that opened it."""

    def __init__(self, path: Path, found: _Opened) -> None:
        self._path = path
        self._lock_fd = found.lock_fd
        self._index = found.index
        self._revision = found.index.revision
        self._compacted = found.compacted
        self._broken: Exception | None = found.failure
        self._fanout = Fanout()
        self._queued: list[Write] = []  # accepted, not yet handed over
        self._is_alone = False  # the last batch was one write, and none came meanwhile
        self._is_writing = False  # a batch is with the writer, or about to be
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._settling: list[tuple[int, asyncio.Future[None]]] = []
        self._unapplied = found.unapplied  # durable, not yet known to be in the tables
        self._handed = 0  # so many of them are with the applier
        self._unhanded_bytes = 0
        self._apply_timer: asyncio.TimerHandle | None = None
        self._applying: list[tuple[int, asyncio.Future[None]]] = []
        self._compactions: set[asyncio.Future[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._reader = schema.connect(path, readonly=True)
        self._reading = threading.Lock()
        self._applier = Applier(path, self._on_applied, self._on_stuck)
        self._writer = Writer(
            Log(path, found.identity, self._applier.wait), self._on_commit, self._on_failure
        )
        self._applier.start()
        self._writer.start()

    @classmethod
    async def open(cls, path: Path) -> SqliteStore:
        """Open or make the store in the file path.

        Raises BlockingIOError when another process has it, OSError, sqlite3.Error.
        """
        return cls(path, await asyncio.to_thread(_recover, path))

    @property
    def revision(self) -> int:
        """The newest durable revision."""
        return self._revision

    @property
    def compacted(self) -> int:
        """History before this revision is forgotten."""
        return self._compacted

    @property
    def is_healthy(self) -> bool:
        """Neither a commit has failed nor the tables."""
        return self._broken is None

    @property
    def is_shared(self) -> bool:
        """Nobody else writes."""
        return False

    async def synchronize(self, revision: int = 0) -> None:
        """Nothing is waited for: watches know every write. Raises FutureRevision."""
        if revision > self.revision:
            raise FutureRevision(revision, self.revision)

    async def range(self, start: str, end: str = "", *, limit: int = 0, revision: int = 0) -> Range:
        """Read keys; see Store."""
        self._check(revision, below=self._compacted)
        at = revision or self._revision
        left = await self._applied_up_to(at)
        return await asyncio.to_thread(self._read, start, end or start + "\0", limit, at, left)

    async def put(self, key: str, value: bytes, *, expect: int | None = None, expires: float = 0.0) -> int:
        """Write a key; see Store."""
        self._check_alive()
        try:
            event, before = self._index.accept_put(key, value, expect, expires)
        except (KeyExists, Conflict):
            await self._settled(key)
            raise
        return await self._commit(Write(event, before, expires))

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        """Delete a key; see Store."""
        self._check_alive()
        try:
            event, before = self._index.accept_delete(key, expect)
        except (NotFound, Conflict):
            await self._settled(key)
            raise
        return await self._commit(Write(event, before, 0.0))

    async def watch(self, prefix: str, after: int, deliver: Deliver) -> Subscription:
        """Watch; see Store."""
        self._check(after, below=self._compacted)
        subscription, upto = self._fanout.subscribe(prefix, after, deliver), self._revision
        try:
            left = await self._applied_up_to(upto) if upto > after else ()
            past = await asyncio.to_thread(self._read_past, prefix, after, upto, left)
        except BaseException:
            subscription.cancel()
            raise
        subscription.go(past)
        return subscription

    async def compact(self, revision: int) -> None:
        """Forget; see Store."""
        self._check_alive()
        self._check(revision, below=self._compacted + 1)
        since, self._compacted = self._compacted, revision
        done = self._loop.create_future()
        self._compactions.add(done)
        done.add_done_callback(self._compactions.discard)

        def finish() -> None:
            self._loop.call_soon_threadsafe(_resolve, done)

        self._apply()  # what it forgets must be in the tables
        self._applier.submit(Compaction(since, revision, finish))
        await done

    def expired(self, now: float) -> Sequence[tuple[str, int]]:
        """Name keys past their expiry."""
        return self._index.expired(now)

    async def size(self) -> int:
        """Add up the tables, their journal and the log."""
        return sum(each.stat().st_size for each in _files(self._path) if each.exists())

    async def close(self) -> None:
        """End all watches, commit what was accepted, release the file."""
        self._fanout.clear()
        if self._queued:
            self._hand_over()
        self._writer.submit(None)
        await asyncio.to_thread(self._writer.join)
        self._apply()
        self._applier.submit(None)
        await asyncio.to_thread(self._applier.join)
        with self._reading:
            self._reader.close()
        os.close(self._lock_fd)

    def _check(self, revision: int, *, below: int) -> None:
        if revision and revision < below:
            raise Compacted(revision, self._compacted)
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)

    def _check_alive(self) -> None:
        if self._broken is not None:
            raise Broken(f"cannot write: {self._broken}")

    async def _settled(self, key: str) -> None:
        """Wait for queued writes: what a comparison lost against must be durable before it is reported."""
        last = self._index.revision
        if last in self._waiting:
            future = self._loop.create_future()
            self._settling.append((last, future))
            await future

    async def _commit(self, write: Write) -> int:
        revision = write.event.revision
        # one future a caller: who gives up cancels its own and does not undo the write
        future = self._waiting[revision] = self._loop.create_future()
        self._queued.append(write)
        if not self._is_writing:
            self._is_writing = True
            if self._is_alone:
                self._hand_over()
            else:
                # with what other requests write in this turn of the loop
                self._loop.call_soon(self._hand_over)
        await future
        return revision

    def _hand_over(self) -> None:
        batch, self._queued = self._queued, []
        if batch:
            self._writer.submit(batch)

    def _on_commit(self, batch: Sequence[Write]) -> None:
        self._loop.call_soon_threadsafe(self._committed, batch)

    def _on_applied(self, revision: int) -> None:
        self._loop.call_soon_threadsafe(self._applied, revision)

    def _on_failure(self, err: Exception) -> None:
        self._loop.call_soon_threadsafe(self._failed, err)

    def _on_stuck(self, err: Exception) -> None:
        self._loop.call_soon_threadsafe(self._stuck, err)

    def _committed(self, batch: Sequence[Write]) -> None:
        self._revision = batch[-1].event.revision
        self._is_writing = bool(self._queued)
        self._hand_over()  # the writer goes on while watches are told
        self._fanout.publish([write.event for write in batch])
        for write in batch:
            _resolve(self._waiting.pop(write.event.revision))
        while self._settling and self._settling[0][0] <= self._revision:
            _resolve(self._settling.pop(0)[1])

        self._is_alone = len(batch) == 1 and not self._is_writing
        self._follow(batch)

    def _follow(self, batch: Sequence[Write]) -> None:
        """Have the tables take what is durable in the log, when it is much or after a while."""
        self._unapplied += batch
        self._unhanded_bytes += sum(len(write.event.value or b"") for write in batch)
        if len(self._unapplied) - self._handed >= APPLY_WRITES or self._unhanded_bytes >= APPLY_BYTES:
            self._apply()
        elif self._apply_timer is None:
            self._apply_timer = self._loop.call_later(APPLY_DELAY_S, self._apply)

    def _apply(self) -> None:
        if self._apply_timer is not None:
            self._apply_timer.cancel()
            self._apply_timer = None
        if batch := self._unapplied[self._handed :]:
            self._handed, self._unhanded_bytes = len(self._unapplied), 0
            self._applier.submit(batch)

    def _applied(self, revision: int) -> None:
        count = revision - self._unapplied[0].event.revision + 1
        del self._unapplied[:count]
        self._handed -= count
        while self._applying and self._applying[0][0] <= revision:
            _resolve(self._applying.pop(0)[1])

    async def _applied_up_to(self, revision: int) -> Sequence[Write]:
        """Wait until the tables have a revision; return what they will not take since they have failed."""
        if self._broken is None and self._unapplied and self._unapplied[0].event.revision <= revision:
            self._apply()
            future = self._loop.create_future()
            self._applying.append((self._unapplied[-1].event.revision, future))
            await future
        return [write for write in self._unapplied if write.event.revision <= revision]

    def _failed(self, err: Exception) -> None:
        """The log takes nothing more."""
        self._broken = err
        self._queued = []
        waiting = [*self._waiting.values(), *(future for _, future in self._settling)]
        self._waiting, self._settling = {}, []
        _fail(waiting, err)

    def _stuck(self, err: Exception) -> None:
        """The tables take nothing more; what was accepted goes to the log, what follows is refused."""
        self._broken = self._broken or err
        _fail(tuple(self._compactions), err)
        reading, self._applying = self._applying, []
        for _, future in reading:
            _resolve(future)

    def _read(self, start: str, end: str, limit: int, revision: int, left: Sequence[Write]) -> Range:
        bounds = {"start": start, "end": end, "revision": revision, "limit": -1 if left else limit or -1}
        with self._reading:
            rows = self._reader.execute(
                f"SELECT key, value, create_rev, rev {schema.LIVE} ORDER BY key LIMIT :limit", bounds
            ).fetchall()
            found = [Entry(*row) for row in rows]
            count = len(found)
            if limit and count == limit and not left:
                count = int(self._reader.execute(f"SELECT count(*) {schema.LIVE}", bounds).fetchone()[0])
        if not left:
            return Range(found, revision, count)
        whole = _laid_over(found, [w.event for w in left if start <= w.event.key < end])
        return Range(whole[: limit or None], revision, len(whole))

    def _read_past(self, prefix: str, after: int, upto: int, left: Sequence[Write]) -> Sequence[Event]:
        query = (
            "SELECT key, value, create_rev, rev FROM kv WHERE rev > ? AND rev <= ? AND key >= ? AND key < ?"
        )
        bounds = (after, upto, prefix, prefix_end(prefix))
        with self._reading:
            rows = self._reader.execute(query + " ORDER BY rev", bounds).fetchall()
        found = {row[3]: Event(*row) for row in rows}
        found.update({w.event.revision: w.event for w in left if after < w.event.revision})
        return list(found.values())


def _laid_over(found: Sequence[Entry], events: Sequence[Event]) -> list[Entry]:
    """Apply later events to entries in order of key."""
    entries = {entry.key: entry for entry in found}
    for event in events:
        if event.value is None:
            entries.pop(event.key, None)
        else:
            entries[event.key] = Entry(event.key, event.value, event.create_revision, event.revision)
    return sorted(entries.values(), key=lambda entry: entry.key)


def _fail(futures: Iterable[asyncio.Future[None]], err: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(Broken(f"cannot commit: {err}"))
            future.exception()  # seen, even if its caller has gone


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _files(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + each) for each in ("-wal", *log.SUFFIXES))]


def _recover(path: Path) -> _Opened:
    """Lock the file, make its tables, put there what only the log has, and read the index back. Blocks."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock_fd = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # Secrets: for us alone
        db = schema.connect(path)
        try:
            return _load(db, path, lock_fd)
        finally:
            db.close()
    except BaseException:
        os.close(lock_fd)
        raise


def _load(db: sqlite3.Connection, path: Path, lock_fd: int) -> _Opened:
    left, failure = _settle(db, path)
    identity, compacted = schema.meta(db, "log"), schema.meta(db, "compacted")
    query = """SELECT key, rev, create_rev, expires FROM kv
               WHERE rev IN (SELECT max(rev) FROM kv GROUP BY key) AND deleted = 0"""
    keys = {key: Meta(rev, create, expires) for key, rev, create, expires in db.execute(query)}
    revision = schema.revision(db)
    for write in left:
        event, revision = write.event, write.event.revision
        keys.pop(event.key, None)
        if event.value is not None:
            keys[event.key] = Meta(revision, event.create_revision, write.expires)
    return _Opened(lock_fd, Index(revision, keys.items()), compacted, identity, left, failure)


def _settle(db: sqlite3.Connection, path: Path) -> tuple[list[Write], sqlite3.Error | None]:
    """Make the tables complete; if they cannot be written (a full disk), return what is left, and why."""
    left: list[Write] = []
    try:
        schema.create(db)
        left = log.after(log.load(path), schema.meta(db, "log"), schema.revision(db))
        if left:
            applier.apply(db, left)
    except sqlite3.OperationalError as err:
        if db.in_transaction:
            db.execute("ROLLBACK")
        return left, err
    return [], None
