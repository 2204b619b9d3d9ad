"""The file of a backup: what every key held at one revision, whatever store it came from or goes to.

one line of JSON: format, revision, when, from where, how many entries
a zstd frame of records: length (4 bytes, big endian), then key, value, both revisions, expiry (MessagePack)
SHA-256 of all before (32 bytes)
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import zstandard

FORMAT: Final = "nanokube-backup/1"
CHUNK: Final = 1 << 20
DIGEST: Final = 32
# Writes that may have been acknowledged after the backup was made: what is restored goes on behind them, so
# that no revision means two things. Upstream's advice for etcd snapshots is 1e9, a week of 1500 a second.
BUMP: Final = 1_000_000_000
_LENGTH: Final = struct.Struct(">I")


class DamagedBackup(ValueError):
    """The file is no backup, or not as it was written."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One key. expires: seconds since the epoch, 0: never."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    expires: float = 0.0


@dataclass(frozen=True, slots=True)
class Header:
    """What a backup says of itself."""

    revision: int
    created: str
    source: str
    entries: int


def write(path: Path, header: Header, records: Sequence[Record]) -> None:
    """Write a backup, whole or not at all, for the owner's eyes only: it has Secrets. Raises OSError."""
    temporary = path.with_name(f"{path.name}.part")
    digest = hashlib.sha256()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in _pieces(header, records):
                digest.update(piece)
                file.write(piece)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check(path: Path) -> Header:
    """Compare the hash, and read the header. Raises DamagedBackup, OSError."""
    size = path.stat().st_size
    digest, left = hashlib.sha256(), size - DIGEST
    if left <= 0:
        raise DamagedBackup(f"cannot read {path}: it is no backup")
    with path.open("rb") as file:
        first = file.readline(4096)
        header = _header(path, first)
        digest.update(first)
        left -= len(first)
        while left > 0 and (piece := file.read(min(CHUNK, left))):
            digest.update(piece)
            left -= len(piece)
        if digest.digest() != file.read(DIGEST):
            raise DamagedBackup(f"cannot read {path}: its hash is wrong, it is cut short or was changed")
    return header


def records(path: Path) -> Iterator[Record]:
    """Read the records of a file that was checked. Raises OSError."""
    decoder = msgspec.msgpack.Decoder(Record)
    with path.open("rb") as file:
        count = _header(path, file.readline(4096)).entries  # what follows the last is no frame
        with zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as stream:
            for _ in range(count):
                yield decoder.decode(stream.read(*_LENGTH.unpack(stream.read(_LENGTH.size))))


def _header(path: Path, line: bytes) -> Header:
    try:
        found = json.loads(line)
        if found.pop("format") != FORMAT:
            raise ValueError("another format")
        return Header(**found)
    except (ValueError, TypeError, KeyError, AttributeError) as err:
        raise DamagedBackup(f"cannot read {path}: it is no backup of nanokube's") from err


def _pieces(header: Header, found: Sequence[Record]) -> Iterator[bytes]:
    about = {
        "format": FORMAT, "revision": header.revision, "created": header.created, "source": header.source,
        "entries": header.entries,
    }  # fmt: skip
    yield json.dumps(about).encode() + b"\n"
    encoder, compressor = msgspec.msgpack.Encoder(), zstandard.ZstdCompressor().compressobj()
    for record in found:
        raw = encoder.encode(record)
        yield compressor.compress(_LENGTH.pack(len(raw)) + raw)
    yield compressor.flush()
