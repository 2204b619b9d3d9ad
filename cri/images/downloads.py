"""Blobs on their way: each is fetched once however many pulls want it, and goes on where it broke off.

    downloads/<hex of digest>   what came so far; deleted when the last pull that wanted all of it is done

A part outlives its pull and the process: the next pull resumes it. Nothing in a file is trusted before the
digest of the whole is right.
"""

import contextlib
import dataclasses
import hashlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cri.images import errors
from cri.images.manifest import Descriptor

_CHUNK_BYTES = 1 << 20
_PART_AGE_MAX_S = 24 * 3600.0


class Part:
    """One blob in the making. Written by the one who holds `turn`, read by any number of followers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.turn = threading.Lock()
        self.users = 0
        self._changed = threading.Condition()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._hash = hashlib.sha256()
        self.size = 0
        self.is_whole = False
        self.generation = 0  # counts how often content that was handed out proved to be wrong
        self.is_inherited = os.fstat(self._file).st_size > 0
        self._is_taken_up = not self.is_inherited

    def take_up(self) -> None:
        """Hash what an earlier pull or process left."""
        while not self._is_taken_up:
            data = os.pread(self._file, _CHUNK_BYTES, self.size)
            self._hash.update(data)
            self.size += len(data)
            self._is_taken_up = not data

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.pwrite(self._file, view, self.size + len(data) - len(view)) :]
        self._hash.update(data)
        with self._changed:
            self.size += len(data)
            self._changed.notify_all()

    def restart(self, *, is_wrong: bool = False) -> None:
        """Start from nothing. is_wrong: what was there is not what it should be."""
        with self._changed:
            self._hash = hashlib.sha256()
            self.size = 0
            self.generation += is_wrong
            os.ftruncate(self._file, 0)

    def verify(self, blob: Descriptor) -> bool:
        """Tell whether all is there and right; else start from nothing."""
        if self.size == blob.size and "sha256:" + self._hash.hexdigest() == blob.digest:
            with self._changed:
                self.is_whole = True
                self._changed.notify_all()
        else:
            self.restart(is_wrong=True)
        return self.is_whole

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self._file, max(0, min(count, self.size - offset)), offset)

    def wait(self, offset: int, seconds: float) -> None:
        """Return when there is something at offset, when all is there, or after a while."""
        with self._changed:
            self._changed.wait_for(lambda: self.size > offset or self.is_whole, seconds)

    def close(self) -> None:
        os.close(self._file)


class Downloads:
    """All parts, below root. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root / "downloads"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._parts: dict[str, Part] = {}
        self.purge(_PART_AGE_MAX_S)

    @contextlib.contextmanager
    def using(self, blob: Descriptor) -> Iterator[Part]:
        """Hold a blob's part; the last user of a whole one deletes it."""
        name = blob.digest.removeprefix("sha256:")
        with self._lock:
            part = self._parts.get(name)
            if part is None:
                part = self._parts[name] = Part(self._root / name)
            part.users += 1
        try:
            yield part
        finally:
            with self._lock:
                part.users -= 1
                if not part.users:
                    del self._parts[name]
                    if part.is_whole or not part.path.stat().st_size:
                        part.path.unlink()
                    part.close()

    def purge(self, age_s: float = 0.0) -> None:
        """Delete parts that nobody works on and that were last written to age_s ago."""
        limit = time.time() - age_s
        with self._lock, os.scandir(self._root) as entries:
            for entry in entries:
                if entry.name not in self._parts and entry.stat(follow_symlinks=False).st_mtime <= limit:
                    os.unlink(entry.path)

    def usage(self) -> tuple[int, int]:
        """Return bytes and files on disk."""
        sizes = []
        for path in self._root.iterdir():
            with contextlib.suppress(FileNotFoundError):
                sizes.append(path.stat().st_blocks * 512)
        return sum(sizes), len(sizes)


@dataclasses.dataclass(slots=True)
class _Position:
    offset: int
    generation: int


class Follower(io.RawIOBase):
    """Reads a part while it comes.

    check: called while there is nothing to read; raises what ends the download.
    """

    def __init__(self, part: Part, check: Callable[[], None]) -> None:
        self._part = part
        self._check = check
        self._at = _Position(0, part.generation)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            data = self._part.read(self._at.offset, len(buffer))
            if self._part.generation != self._at.generation:
                raise errors.corrupt(f"{self._part.path.name}: content changed")
            if data:
                buffer[: len(data)] = data
                self._at.offset += len(data)
                return len(data)
            if self._part.is_whole and self._at.offset >= self._part.size:
                return 0
            self._check()
            self._part.wait(self._at.offset, 0.5)


def follow(part: Part, check: Callable[[], None]) -> BinaryIO:
    """Open a part for reading while it comes; one left by an earlier pull is waited for: it may be wrong."""
    while part.is_inherited and not part.is_whole:
        check()
        part.wait(1 << 62, 0.5)
    return Follower(part, check)  # type: ignore[return-value]
