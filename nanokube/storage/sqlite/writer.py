"""The one thread that commits: each batch it is handed is one append to the log (group commit).

An append is one system call, which writes and waits for the disk: the interpreter's lock changes hands once
for all its writes, not once for each, for which this thread would wait behind a busy loop each time.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence

from nanokube.storage.sqlite.log import Log, Write

log = logging.getLogger(__name__)


class Writer(threading.Thread):
    """Commits writes in order, and closes the log. on_commit and on_failure are called on this thread."""

    def __init__(
        self,
        appended: Log,
        on_commit: Callable[[Sequence[Write]], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        super().__init__(name="store-writer", daemon=True)
        self._log = appended
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._queue: queue.SimpleQueue[Sequence[Write] | None] = queue.SimpleQueue()

    def submit(self, batch: Sequence[Write] | None) -> None:
        """Queue writes that are committed together; None ends the thread after all that."""
        self._queue.put(batch)

    def run(self) -> None:
        """The thread's body."""
        try:
            while (batch := self._queue.get()) is not None:
                self._log.append(batch)
                self._on_commit(batch)
        except (OSError, sqlite3.Error) as err:
            log.critical("commit failed: %s", err)
            self._on_failure(err)
        finally:
            self._log.close()
