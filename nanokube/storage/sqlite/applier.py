"""The one thread that writes the tables: puts there what the log has, many writes at a time, and compacts."""

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
from nanokube.storage.sqlite.log import Write

log = logging.getLogger(__name__)

STATEMENT_ROWS = 64
COMPACT_STEP = 1000  # revisions a transaction: writes wait for one step at most


@dataclass(frozen=True, slots=True)
class Compaction:
    """Forget what only revisions up to `to` can see; `since` was the last compaction."""

    since: int
    to: int
    done: Callable[[], None]


class Applier(threading.Thread):
    """Applies writes in order. on_applied (the newest revision) and on_failure are called on this thread."""

    def __init__(
        self, path: Path, on_applied: Callable[[int], None], on_failure: Callable[[Exception], None]
    ) -> None:
        super().__init__(name="store-applier", daemon=True)
        self._path = path
        self._on_applied = on_applied
        self._on_failure = on_failure
        self._queue: queue.SimpleQueue[Sequence[Write] | Compaction | None] = queue.SimpleQueue()
        self._turned = threading.Condition()
        self._applied = 0
        self._failure: sqlite3.Error | None = None

    def submit(self, work: Sequence[Write] | Compaction | None) -> None:
        """Queue work; None ends the thread after all that."""
        self._queue.put(work)

    def wait(self, revision: int) -> None:
        """Wait, in another thread, until a revision is durable in the tables. Raises sqlite3.Error."""
        with self._turned:
            self._turned.wait_for(lambda: self._applied >= revision or self._failure is not None)
            if self._applied < revision and self._failure is not None:
                raise sqlite3.OperationalError(f"{self._failure}") from self._failure

    def run(self) -> None:
        """The thread's body."""
        try:
            with contextlib.closing(schema.connect(self._path)) as db:
                while self._step(db):
                    pass
        except sqlite3.Error as err:
            log.critical("writing the tables failed: %s", err)
            with self._turned:
                self._failure = err
                self._turned.notify_all()
            self._on_failure(err)

    def _step(self, db: sqlite3.Connection) -> bool:
        work = self._queue.get()
        if work is None:
            return False
        if isinstance(work, Compaction):
            self._compact(db, work)
            return True
        apply(db, work)
        with self._turned:
            self._applied = work[-1].event.revision
            self._turned.notify_all()
        self._on_applied(self._applied)
        return True

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


def apply(db: sqlite3.Connection, writes: Sequence[Write]) -> None:
    """Put writes into the tables, in one transaction. Raises sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    for start in range(0, len(writes), STATEMENT_ROWS):
        part = writes[start : start + STATEMENT_ROWS]
        rows = ",".join((schema.ROW,) * len(part))
        db.execute(schema.INSERT + rows, [value for write in part for value in write.row()])
    db.execute("COMMIT")
