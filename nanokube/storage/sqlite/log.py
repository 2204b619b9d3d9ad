"""The log of a SQLite store: the newest writes, durable with one system call, until the tables have them.

    segment 0   header │ record │ record │ …    one is appended to; when it is full, the other is begun anew,
    segment 1   header │ record │ …             for whose records the tables have been waited for

A record's checksum goes on from the one before it, and the first one's from its header's, which holds a
random salt: what an earlier round left behind the end is never taken for more of this one. Revisions have no
gaps. The header names the database, so that no other takes the log for its own. Integers are little-endian.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nanokube.storage.store import Event

SUFFIXES: Final = (".log0", ".log1")
SEGMENT_BYTES: Final = 4 << 20  # 700 Pods; filled first: what is written over in place no journal records

_MAGIC: Final = b"nk-log\0\1"
_HEADER: Final = struct.Struct("<8sQQ")  # magic, database, salt; their checksum follows
_RECORD: Final = struct.Struct("<IIQQQd")  # bytes of key and value, revision, created, before, expires
_CHECKSUM: Final = struct.Struct("<I")  # of it, key and value; stands before it
_DELETED: Final = 0xFFFFFFFF  # in place of the bytes of a value


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


class Log:
    """Both segments, begun anew at the first append: what they held is in the tables. Belongs to one thread.

    identity: of the database. wait: returns when the tables durably have what came before a revision and
    itself; it may raise.
    """

    def __init__(self, path: Path, identity: int, wait: Callable[[int], None]) -> None:
        self._path = path
        self._identity = identity
        self._wait = wait
        self._segments: Sequence[int] = ()
        self._last = [0, 0]  # the newest revision in each, of this opening
        self._current = 0
        self._end = 0
        self._checksum = 0

    def append(self, batch: Sequence[Write]) -> None:
        """Make writes durable, in order. Blocks. Raises OSError, and what wait raises."""
        if not self._segments:
            self._segments = _open(self._path)
        if self._end >= SEGMENT_BYTES:
            self._turn()
        pieces: list[bytes] = []
        if not self._end:
            _fill(self._segments[self._current])
            header = _HEADER.pack(_MAGIC, self._identity, int.from_bytes(os.urandom(8), "little"))
            self._checksum = zlib.crc32(header)
            pieces += header, _CHECKSUM.pack(self._checksum)
        for write in batch:
            self._checksum = _encode(write, self._checksum, pieces)
        data = b"".join(pieces)
        _write(self._segments[self._current], data, self._end)
        self._end += len(data)
        self._last[self._current] = batch[-1].event.revision

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._segments:
            os.close(descriptor)

    def _turn(self) -> None:
        other = 1 - self._current
        self._wait(self._last[other])
        if os.fstat(self._segments[other]).st_size > 2 * SEGMENT_BYTES:
            os.ftruncate(self._segments[other], SEGMENT_BYTES)
        self._current, self._end = other, 0


def load(path: Path) -> Sequence[bytes]:
    """Read the segments of a store, whatever they hold. Blocks."""
    return [each.read_bytes() for each in paths(path) if each.exists()]


def paths(path: Path) -> Sequence[Path]:
    """Name the segments of a store."""
    return [Path(f"{path}{suffix}") for suffix in SUFFIXES]


def after(segments: Iterable[bytes], identity: int, revision: int) -> list[Write]:
    """Give the writes that follow a revision without a gap, in order. Pure."""
    found = {write.event.revision: write for raw in segments for write in _decode(raw, identity)}
    following = []
    while (write := found.get(revision + 1)) is not None:
        following.append(write)
        revision += 1
    return following


def _open(path: Path) -> Sequence[int]:
    """Open the segments, made if need be, and empty; each write to them returns when it is on the disk."""
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_DSYNC
    opened = [os.open(each, flags, 0o600) for each in paths(path)]
    for descriptor in opened:
        if os.fstat(descriptor).st_size:  # tables put back by hand to a former state must not meet it again
            _write(descriptor, bytes(_HEADER.size), 0)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return opened


def _fill(descriptor: int) -> None:
    """Give a segment its size, or leave it as it is where the disk has no room.

    A write that makes a file grow waits for the filesystem's journal, too: twice as long.
    """
    size = os.fstat(descriptor).st_size
    if size >= SEGMENT_BYTES:
        return
    try:
        os.pwrite(descriptor, bytes(SEGMENT_BYTES - size), size)
    except OSError:
        os.ftruncate(descriptor, size)


def _write(descriptor: int, data: bytes, at: int) -> None:
    done = os.pwrite(descriptor, data, at)
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], at + done)


def _encode(write: Write, checksum: int, pieces: list[bytes]) -> int:
    """Append a record to pieces; return its checksum, given the one before."""
    event, key = write.event, write.event.key.encode()
    size = _DELETED if event.value is None else len(event.value)
    front = _RECORD.pack(len(key), size, event.revision, event.create_revision, write.before, write.expires)
    front += key
    value = event.value or b""
    checksum = zlib.crc32(value, zlib.crc32(front, checksum))
    pieces += _CHECKSUM.pack(checksum), front, value
    return checksum


def _decode(raw: bytes, identity: int) -> list[Write]:
    """Read the records of a segment up to the first that is not whole."""
    at = _HEADER.size + _CHECKSUM.size
    if len(raw) < at:
        return []
    magic, database, _ = _HEADER.unpack_from(raw)
    checksum = zlib.crc32(raw[: _HEADER.size])
    if (magic, database) != (_MAGIC, identity) or _CHECKSUM.unpack_from(raw, _HEADER.size) != (checksum,):
        return []
    found: list[Write] = []
    while (whole := _record(raw, at, checksum)) is not None:
        write, at, checksum = whole
        found.append(write)
    return found


def _record(raw: bytes, at: int, checksum: int) -> tuple[Write, int, int] | None:
    """Read the record at a place; return it, its end and its checksum. None: there is none, or not whole."""
    start = at + _CHECKSUM.size
    if len(raw) < start + _RECORD.size:
        return None
    key_bytes, size, revision, created, before, expires = _RECORD.unpack_from(raw, start)
    middle = start + _RECORD.size + key_bytes
    end = middle + (0 if size == _DELETED else size)
    if end > len(raw):
        return None
    checksum = zlib.crc32(memoryview(raw)[start:end], checksum)
    if _CHECKSUM.unpack_from(raw, at) != (checksum,):
        return None
    key = raw[start + _RECORD.size : middle].decode()
    event = Event(key, None if size == _DELETED else raw[middle:end], created, revision)
    return Write(event, before, expires), end, checksum
