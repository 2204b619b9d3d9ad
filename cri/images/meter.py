"""What a pull has done so far, for the log: a slow pull must not look like a dead one."""

import logging
import threading
import time
from collections.abc import Callable

from cri.images.image import Progress, ProgressCallback

log = logging.getLogger(__name__)

_LOG_EVERY_S = 10.0


class Meter:
    """Adds up the progress of one pull and passes it on, exceptions of the callback too. Thread-safe."""

    def __init__(
        self, reference: str, report: ProgressCallback, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reference = reference
        self._report = report
        self._clock = clock
        self._lock = threading.Lock()
        self._began = self._logged = clock()
        self._blobs: dict[str, Progress] = {}

    def __call__(self, progress: Progress) -> None:
        self._report(progress)
        with self._lock:
            self._add(progress)
            if self._clock() - self._logged >= _LOG_EVERY_S:
                self._logged = self._clock()
                log.info("pulling image, reference=%s %s", self._reference, self._text())

    def summary(self) -> str:
        """Return seconds, layers and bytes, as one line for the log."""
        with self._lock:
            return f"seconds={self._clock() - self._began:.1f} {self._text()}"

    def _add(self, progress: Progress) -> None:
        if not progress.total:
            return
        old = self._blobs.get(progress.item)
        if old is None or old.action not in ("done", "present"):
            current = max(progress.current, old.current if old else 0)
            self._blobs[progress.item] = Progress(progress.action, progress.item, current, progress.total)

    def _text(self) -> str:
        blobs = self._blobs.values()
        done = [blob for blob in blobs if blob.action in ("done", "present")]
        fetched = sum(blob.current for blob in blobs if blob.action != "present")
        total = sum(blob.total for blob in blobs if blob.action != "present")
        return f"layers={len(done)}/{len(blobs)} bytes={fetched}/{total}"
