"""Deleting the directories of removed containers: at once what was not written to, else in the background."""

import contextlib
import os
import queue
import shutil
import threading
from pathlib import Path

from cri import failpoint

_PREFIX = ".gone-"


class Graves:
    """Directories below root that wait to be deleted; what a crash leaves is deleted by the next Graves."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._full: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_digging = False
        for grave in root.glob(f"{_PREFIX}*"):
            shutil.rmtree(grave, ignore_errors=True)

    def bury(self, home: Path) -> None:
        """Take a container's directory away, and delete it or have it deleted. No error if there is none."""
        grave = f"{self._root}/{_PREFIX}{os.urandom(8).hex()}"
        try:
            os.rename(home, grave)
        except FileNotFoundError:
            return
        failpoint.hit("snapshot.buried")
        if remove_unwritten(grave):
            return
        self._full.put(grave)
        with self._lock:
            if not self._is_digging:
                self._is_digging = True
                threading.Thread(target=self._dig, name="graves", daemon=True).start()

    def _dig(self) -> None:
        while True:
            with self._lock:
                try:
                    grave = self._full.get_nowait()
                except queue.Empty:
                    self._is_digging = False
                    return
            shutil.rmtree(grave, ignore_errors=True)


def remove_unwritten(home: str) -> bool:
    """Delete a container's directory without looking into it; False if it holds what was written."""
    try:
        for name in ("work/work", "work", "upper", "empty"):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(f"{home}/{name}")
        os.unlink(f"{home}/layers.json")
        os.rmdir(home)
    except OSError:
        return False
    return True
