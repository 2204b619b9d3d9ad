"""The log backend: one event a line, in a file that is rotated, or on standard output.

Files are written by a thread of their own. Rotated ones are named after the time of their end (UTC) and kept
as long, and as many, as allowed.

Source: staging apiserver plugin/pkg/audit/log; names as of gopkg.in/natefinch/lumberjack.v2.
"""

from __future__ import annotations

import asyncio
import datetime
import errno
import gzip
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final

from nanokube.apiserver.audit import event as events
from nanokube.apiserver.audit.metrics import AuditMetrics
from nanokube.apiserver.audit.settings import LEGACY, LogSettings

log = logging.getLogger(__name__)

STANDARD_OUTPUT: Final = "-"
_MEGABYTE: Final = 1 << 20
_STAMP: Final = "%Y-%m-%dT%H-%M-%S"
_STAMPED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}")


class RotatingFile:
    """A file that is renamed when it would grow above max_size_mb. Not for more than one thread."""

    def __init__(self, settings: LogSettings, now: Callable[[], float]) -> None:
        """Open the file, which is appended to. Raises OSError."""
        self._settings = settings
        self._path = Path(settings.path)
        self._now = now
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._is_closed = False
        self._file: IO[bytes] | None = self._open()

    def write(self, lines: list[bytes]) -> None:
        """Append lines. Raises OSError."""
        if self._is_closed:
            raise OSError(errno.EBADF, "the audit log is closed")
        if self._file is None:  # what was to follow a rotated one could not be opened
            self._file = self._open()
        bound = self._settings.max_size_mb * _MEGABYTE
        size, pending = self._file.tell(), bytearray()
        for line in lines:
            if bound and size and size + len(line) > bound:
                self._file.write(pending)
                pending.clear()
                self._rotate()
                size = 0
            pending += line
            size += len(line)
        self._file.write(pending)

    def close(self) -> None:
        """Close the file for good."""
        self._is_closed = True
        self._shut()

    def _shut(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> IO[bytes]:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        found = os.fdopen(fd, "ab", buffering=0)
        found.seek(0, os.SEEK_END)
        return found

    def _rotate(self) -> None:
        self._shut()
        now = self._now()
        when = datetime.datetime.fromtimestamp(now, datetime.UTC)
        stamp = f"{when.strftime(_STAMP)}.{when.microsecond // 1000:03d}"
        old = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")
        self._path.replace(old)
        self._file = self._open()
        if self._settings.compresses:
            _compress(old)
        self._clean(now)

    def _clean(self, now: float) -> None:
        """Remove rotated files that are too many or too old."""
        dated = sorted(self._rotated(), reverse=True)
        kept = self._settings.max_backups or len(dated)
        days = self._settings.max_age_days
        oldest = datetime.datetime.fromtimestamp(now, datetime.UTC) - datetime.timedelta(days=days)
        limit = oldest.strftime(_STAMP) if days else ""
        for index, (stamp, file) in enumerate(dated):
            if index >= kept or stamp < limit:
                file.unlink(missing_ok=True)

    def _rotated(self) -> list[tuple[str, Path]]:
        found = []
        for file in self._path.parent.iterdir():
            name = file.name.removesuffix(".gz")
            if name.startswith(self._path.stem + "-") and name.endswith(self._path.suffix):
                stamp = name[len(self._path.stem) + 1 : len(name) - len(self._path.suffix)]
                if _STAMPED.fullmatch(stamp):
                    found.append((stamp, file))
        return found


def _compress(file: Path) -> None:
    packed = file.with_name(file.name + ".gz")
    with file.open("rb") as source, packed.open("wb") as target:
        os.chmod(target.fileno(), 0o600)
        with gzip.GzipFile(fileobj=target, mode="wb") as stream:
            shutil.copyfileobj(source, stream)
    file.unlink()


class _StandardOutput:
    def write(self, lines: list[bytes]) -> None:
        sys.stdout.buffer.write(b"".join(lines))
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Others write there, too."""


class LogBackend:
    """Writes lines, in a thread."""

    name = "log"
    is_parallel = False

    def __init__(self, settings: LogSettings, metrics: AuditMetrics, now: Callable[[], float]) -> None:
        """Open the file. Raises OSError."""
        self._is_legacy = settings.format == LEGACY
        self._metrics = metrics
        is_file = settings.path != STANDARD_OUTPUT
        self._out: RotatingFile | _StandardOutput = (
            RotatingFile(settings, now) if is_file else _StandardOutput()
        )
        self._thread = ThreadPoolExecutor(1, "audit-log")

    def render(self, event: Mapping[str, Any], encoded: bytes) -> bytes:
        """Make a line."""
        return events.legacy_line(event) if self._is_legacy else events.line(encoded)

    async def deliver(self, items: list[bytes]) -> bool:
        """Append lines."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._out.write, items)
        except OSError as err:
            self._metrics.errors.labels(self.name).inc(len(items))
            log.error("audit log not written: events=%d error=%s", len(items), err)
            return False
        return True

    async def close(self) -> None:
        """Close the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._out.close)
        self._thread.shutdown(wait=False)
