"""The one thread that writes: each batch it is handed is one transaction (group commit).

A batch is one statement, which is a transaction of its own: the interpreter's lock changes hands once for all
its rows and their fsync, not once a row, for which this thread would wait behind a busy loop each time.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanokube.storage.sqlite import schema
from nanokube.storage.store import Event

log = logging.getLogger(__name__)

STATEMENT_ROWS = 64  # a larger batch is several statements in one transaction
COMPACT_STEP = 1000  # revisions a transaction: writers wait for one step at most


@dataclass(frozen=True, slots=True)
class Write:
    """An accepted write. before: the key's revision before, 0 if new."""

    event: Event
    before: int
    expires: float

    def row(self) -> tuple[object, ...]:
        """The row of kv."""
        e = self.event
        return (e.revision, e.key, e.create_revision, self.before, e.value is None, self.expires, e.value)


@dataclass(frozen=True, slots=True)
class Compaction:
    """Forget what only revisions up to `to` can see; `since` was the last compaction."""

    since: int
    to: int
    done: Callable[[], None]


class Writer(threading.Thread):
    """Commits writes in order. on_commit and on_failure are called on this thread."""

    def __init__(
        self,
        path: Path,
        on_commit: Callable[[Sequence[Write]], None],
        on_failure: Callable[[sqlite3.Error], None],
    ) -> None:
        super().__init__(name="store-writer", daemon=True)
        self._path = path
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._queue: queue.SimpleQueue[Sequence[Write] | Compaction | None] = queue.SimpleQueue()

    def submit(self, work: Sequence[Write] | Compaction | None) -> None:
        """Queue work: writes that are committed together, for one; None ends the thread after all that."""
        self._queue.put(work)

    def run(self) -> None:
        """The thread's body."""
        try:
            with contextlib.closing(schema.connect(self._path)) as db:
                while self._step(db):
                    pass
        except sqlite3.Error as err:
            log.critical("commit failed: %s", err)
            self._on_failure(err)

    def _step(self, db: sqlite3.Connection) -> bool:
        work = self._queue.get()
        if work is None:
            return False
        if isinstance(work, Compaction):
            self._compact(db, work)
        else:
            self._commit(db, work)
        return True

    def _commit(self, db: sqlite3.Connection, batch: Sequence[Write]) -> None:
        if len(batch) <= STATEMENT_ROWS:
            _insert(db, batch)
        else:
            db.execute("BEGIN IMMEDIATE")
            for start in range(0, len(batch), STATEMENT_ROWS):
                _insert(db, batch[start : start + STATEMENT_ROWS])
            db.execute("COMMIT")
        self._on_commit(batch)

    def _compact(self, db: sqlite3.Connection, work: Compaction) -> None:
        step = min(work.since + COMPACT_STEP, work.to)
        db.execute("BEGIN IMMEDIATE")
        span = (work.since, step)
        db.execute("DELETE FROM kv WHERE rev IN (SELECT prev_rev FROM kv WHERE rev > ? AND rev <= ?)", span)
        db.execute("DELETE FROM kv WHERE rev > ? AND rev <= ? AND deleted = 1", span)
        db.execute("INSERT OR REPLACE INTO meta VALUES('compacted', ?)", (step,))
        db.execute("COMMIT")
        if step < work.to:
            self._queue.put(Compaction(step, work.to, work.done))
        else:
            work.done()


def _insert(db: sqlite3.Connection, batch: Sequence[Write]) -> None:
    rows = ",".join((schema.ROW,) * len(batch))
    db.execute(schema.INSERT + rows, [value for write in batch for value in write.row()])
