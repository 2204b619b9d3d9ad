"""Bring a filesystem to its disk in the background: whoever asks meanwhile shares the next flush."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from cri.linux import syncfs

log = logging.getLogger(__name__)

_DELAY_S = 1.0  # pulls that follow each other are flushed together, and a container's start goes first


class Flusher:
    """Calls back what waited once everything written before is durable. Thread-safe."""

    def __init__(self, directory: Path, sync: Callable[[int], None] = syncfs.syncfs) -> None:
        self._directory = directory
        self._sync = sync
        self._changed = threading.Condition()
        self._waiting: list[Callable[[], None]] = []
        self._is_running = False
        self._is_urgent = False

    def after(self, done: Callable[[], None]) -> None:
        """Call done, in another thread, when what is written by now is durable."""
        with self._changed:
            self._waiting.append(done)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="image-flush", daemon=True).start()

    def now(self) -> None:
        """Wait until all that was asked for is done."""
        with self._changed:
            self._is_urgent = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._is_running)
            self._is_urgent = False

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_urgent, _DELAY_S)
                todo, self._waiting = self._waiting, []
            self._flush(todo)
            with self._changed:
                if not self._waiting:
                    self._is_running = False
                    self._changed.notify_all()
                    return

    def _flush(self, todo: list[Callable[[], None]]) -> None:
        try:
            fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._sync(fd)
            finally:
                os.close(fd)
            for done in todo:
                done()
        except OSError as err:  # what is not known to be durable is made again after a crash of the host
            log.warning("cannot flush images, directory=%s error=%s", self._directory, err)
