"""Reads a container's log file and follows it through rotation, woken by inotify."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

from asyncinotify import Inotify, Mask

from nanokube.kubelet.server.log_filter import LogFilter
from nanokube.kubelet.server.log_options import LogOptions
from nanokube.kubelet.server.log_tail import tail_offset

CHUNK_BYTES = 256 * 1024
CHECK_S = 1.0  # how often a silent container is asked whether it still runs; upstream's logForceCheckPeriod
_EVENTS = Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE

IsRunning = Callable[[], Awaitable[bool]]


async def read(path: Path, options: LogOptions, is_running: IsRunning) -> AsyncIterator[bytes]:
    """Yield output until the log ends: at its end, or, when following, at the container's.

    Only the current file is read, as upstream; following goes on in the file that rotation puts in its place.
    Raises OSError.
    """
    lines = _Lines(path)
    shown = LogFilter(options)
    with contextlib.closing(lines):
        lines.open(options.tail_lines)
        if not options.follow:
            while chunk := lines.chunk():
                if output := _show(shown, chunk):
                    yield output
                if shown.is_full:
                    return
                await asyncio.sleep(0)
            yield _show(shown, [lines.rest] if lines.rest else [])
            return
        async for chunk in _follow(lines, is_running):
            if output := _show(shown, chunk):
                yield output
            if shown.is_full:
                return


def _show(shown: LogFilter, chunk: list[bytes]) -> bytes:
    return b"".join(shown.show(line) for line in chunk)


async def _follow(lines: "_Lines", is_running: IsRunning) -> AsyncIterator[list[bytes]]:
    with Inotify() as inotify:
        inotify.add_watch(lines.path.parent, _EVENTS)
        while True:
            running = await is_running()  # asked before the last read, so that no line is missed
            while chunk := lines.chunk():
                yield chunk
                await asyncio.sleep(0)
            if lines.reopen_if_rotated():
                continue
            if not running:
                if lines.rest:
                    yield [lines.rest]
                return
            await _changed(inotify, lines.path.name)


async def _changed(inotify: Inotify, name: str) -> None:
    """Wait until the log's directory entry or content changes, or CHECK_S passed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CHECK_S):
            while True:
                event = await inotify.get()
                if event.name is None or event.name.name == name:
                    return


class _Lines:
    """Whole lines of a file that grows and may be replaced by another of the same name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rest = b""
        self._file: BinaryIO | None = None

    def open(self, tail_lines: int | None) -> None:
        """Open the file; start at its last lines, if asked."""
        self._file = self.path.open("rb", buffering=0)
        assert self._file
        self._file.seek(0 if tail_lines is None else tail_offset(self._file, tail_lines))

    def chunk(self) -> list[bytes]:
        """Return the next whole lines; empty at the end of what is written."""
        assert self._file
        while data := self._file.read(CHUNK_BYTES):
            *whole, self.rest = (self.rest + data).split(b"\n")
            if whole:
                return [line + b"\n" for line in whole]
        return []

    def reopen_if_rotated(self) -> bool:
        """Go on with the new file if the name now leads to another one; the old one is read to its end."""
        assert self._file
        try:
            current = os.stat(self.path)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._file.fileno())
        if (current.st_dev, current.st_ino) == (mine.st_dev, mine.st_ino):
            if current.st_size < self._file.tell():  # truncated in place
                self._file.seek(0)
                return True
            return False
        self._file.close()
        self.rest = b""
        self.open(None)
        return True

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
