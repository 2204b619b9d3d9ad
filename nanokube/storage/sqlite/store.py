"""The durable store: SQLite in WAL mode behind one writer thread.

    loop: compare in the index ──batch──> writer thread: one INSERT of all rows (fsync)
      ^                                                     │ call_soon_threadsafe
      └── publish to watches, then wake the callers <───────┘

What is accepted while a batch is being committed is the next batch: a thread is woken once a batch.

Reads of values run on a second connection in a worker thread and see committed rows only.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from nanokube.storage.fanout import Fanout, Subscription
from nanokube.storage.index import Index, Meta
from nanokube.storage.sqlite import schema
from nanokube.storage.sqlite.writer import Compaction, Write, Writer
from nanokube.storage.store import (
    FIRST_REVISION,
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


class SqliteStore:
    """Open with `await SqliteStore.open(path)`; belongs to the loop that opened it."""

    def __init__(self, path: Path, lock_fd: int, index: Index, compacted: int) -> None:
        self._lock_fd = lock_fd
        self._index = index
        self._revision = index.revision
        self._compacted = compacted
        self._compacting = False
        self._broken: sqlite3.Error | None = None
        self._fanout = Fanout()
        self._queued: list[Write] = []  # accepted, not yet handed over
        self._is_writing = False  # a batch is with the writer, or about to be
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._settling: list[tuple[int, asyncio.Future[None]]] = []
        self._loop = asyncio.get_running_loop()
        self._reader = schema.connect(path, readonly=True)
        self._reading = threading.Lock()
        self._writer = Writer(path, self._on_commit, self._on_failure)
        self._writer.start()

    @classmethod
    async def open(cls, path: Path) -> SqliteStore:
        """Open or make the store in the file path.

        Raises BlockingIOError when another process has it, OSError, sqlite3.Error.
        """
        lock_fd, index, compacted = await asyncio.to_thread(_recover, path)
        return cls(path, lock_fd, index, compacted)

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
        """No commit has failed."""
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
        return await asyncio.to_thread(self._read, start, end or start + "\0", limit, at)

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
        subscription = self._fanout.subscribe(prefix, after, deliver)
        try:
            past = await asyncio.to_thread(self._read_past, prefix, after, self._revision)
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

        def finish() -> None:
            self._loop.call_soon_threadsafe(_resolve, done)

        self._writer.submit(Compaction(since, revision, finish))
        await done

    def expired(self, now: float) -> Sequence[tuple[str, int]]:
        """Name keys past their expiry."""
        return self._index.expired(now)

    async def close(self) -> None:
        """End all watches, commit what was accepted, release the file."""
        self._fanout.clear()
        if self._queued:
            self._hand_over()
        self._writer.submit(None)
        await asyncio.to_thread(self._writer.join)
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
            self._loop.call_soon(self._hand_over)  # with what other requests write in this turn of the loop
        await future
        return revision

    def _hand_over(self) -> None:
        batch, self._queued = self._queued, []
        if batch:
            self._writer.submit(batch)

    def _on_commit(self, batch: Sequence[Write]) -> None:
        self._loop.call_soon_threadsafe(self._committed, batch)

    def _on_failure(self, err: sqlite3.Error) -> None:
        self._loop.call_soon_threadsafe(self._failed, err)

    def _committed(self, batch: Sequence[Write]) -> None:
        self._revision = batch[-1].event.revision
        self._is_writing = bool(self._queued)
        self._hand_over()  # the writer goes on while watches are told
        self._fanout.publish([write.event for write in batch])
        for write in batch:
            _resolve(self._waiting.pop(write.event.revision))
        while self._settling and self._settling[0][0] <= self._revision:
            _resolve(self._settling.pop(0)[1])

    def _failed(self, err: sqlite3.Error) -> None:
        self._broken = err
        self._queued = []
        waiting = [*self._waiting.values(), *(future for _, future in self._settling)]
        self._waiting, self._settling = {}, []
        for future in waiting:
            if not future.done():
                future.set_exception(Broken(f"cannot commit: {err}"))
                future.exception()  # seen, even if its caller has gone

    def _read(self, start: str, end: str, limit: int, revision: int) -> Range:
        bounds = {"start": start, "end": end, "revision": revision, "limit": limit or -1}
        with self._reading:
            found = self._reader.execute(
                f"SELECT key, value, create_rev, rev {schema.LIVE} ORDER BY key LIMIT :limit", bounds
            ).fetchall()
            count = len(found)
            if limit and count == limit:
                count = int(self._reader.execute(f"SELECT count(*) {schema.LIVE}", bounds).fetchone()[0])
        return Range([Entry(*row) for row in found], revision, count)

    def _read_past(self, prefix: str, after: int, upto: int) -> Sequence[Event]:
        query = (
            "SELECT key, value, create_rev, rev FROM kv WHERE rev > ? AND rev <= ? AND key >= ? AND key < ?"
        )
        bounds = (after, upto, prefix, prefix_end(prefix))
        with self._reading:
            found = self._reader.execute(query + " ORDER BY rev", bounds).fetchall()
        return [Event(*row) for row in found]


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _recover(path: Path) -> tuple[int, Index, int]:
    """Lock the file, make its tables, and read the index back. Blocks."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock_fd = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # Secrets: for us alone
        db = schema.connect(path)
        try:
            schema.create(db)
            return lock_fd, *_load(db)
        finally:
            db.close()
    except BaseException:
        os.close(lock_fd)
        raise


def _load(db: sqlite3.Connection) -> tuple[Index, int]:
    found = db.execute("SELECT value FROM meta WHERE name = 'compacted'").fetchone()
    compacted = int(found[0]) if found else 0
    newest = db.execute("SELECT max(rev) FROM kv").fetchone()[0] or 0
    query = """SELECT key, rev, create_rev, expires FROM kv
               WHERE rev IN (SELECT max(rev) FROM kv GROUP BY key) AND deleted = 0"""
    keys = ((key, Meta(rev, create, expires)) for key, rev, create, expires in db.execute(query))
    return Index(max(newest, compacted, FIRST_REVISION), keys), compacted
