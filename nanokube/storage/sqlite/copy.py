"""Reads all of a SQLite store at one revision while a server writes to it, and makes one anew."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from nanokube.storage.backup import Record
from nanokube.storage.sqlite import applier, log, schema

KEPT: Final = ".replaced"  # the store that was, beside the new one
_NEWEST: Final = """SELECT key, value, create_rev, rev, expires FROM kv
  WHERE rev IN (SELECT max(rev) FROM kv GROUP BY key) AND deleted = 0 ORDER BY rev"""


class CopyError(RuntimeError):
    """The store cannot be read or replaced; the message names the file."""


def read(path: Path) -> tuple[int, list[Record]]:
    """Read the revision and every key, in order of revision. Blocks. Raises CopyError."""
    if not path.exists():
        raise CopyError(f"{path}: there is no store")
    try:
        segments = log.load(path)  # before the tables: what is gone from it by then is in them
        with contextlib.closing(schema.connect(path, readonly=True)) as db:
            db.execute("BEGIN")  # one snapshot for all that follows
            revision = schema.revision(db)
            records = {row[0]: Record(*row) for row in db.execute(_NEWEST)}
            following = log.after(segments, schema.meta(db, "log"), revision)
    except sqlite3.Error as err:
        raise CopyError(f"{path}: {err}") from err
    for write in following:
        event, revision = write.event, write.event.revision
        records.pop(event.key, None)
        if event.value is not None:
            records[event.key] = Record(
                event.key, event.value, event.create_revision, revision, write.expires
            )
    return revision, list(records.values())


def replace(path: Path, records: Iterable[Record], floor: int) -> int:
    """Put records in place of what the store holds, which stays beside it; return the new revision.

    floor: revisions up to it are not given out again; but the records keep theirs. Blocks.
    Raises CopyError (a server has it), OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists():
            floor = max(floor, read(path)[0])
        part = path.with_name(f"{path.name}.part")
        _clear(part)
        _write(part, records, floor)
        _exchange(path, part)
    except BlockingIOError as err:
        raise CopyError(f"{path}: a server has it open") from err
    except sqlite3.Error as err:
        raise CopyError(f"{path}: {err}") from err
    finally:
        os.close(lock)
    return floor


def _write(path: Path, records: Iterable[Record], floor: int) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # Secrets: for us alone
    with contextlib.closing(schema.connect(path)) as db:
        schema.create(db)
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            schema.INSERT + schema.ROW,
            ((r.mod_revision, r.key, r.create_revision, 0, 0, r.expires, r.value) for r in records),
        )
        db.execute("INSERT OR REPLACE INTO meta VALUES('compacted', ?)", (floor,))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _exchange(path: Path, part: Path) -> None:
    """Set the old store aside, with its log, and put the new one in its place."""
    if path.exists():
        with contextlib.closing(schema.connect(path)) as db:
            following = log.after(log.load(path), schema.meta(db, "log"), schema.revision(db))
            applier.apply(db, following)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        kept = path.with_name(path.name + KEPT)
        _clear(kept)
        os.link(path, kept)
    part.replace(path)
    for suffix in ("-wal", "-shm", *log.SUFFIXES):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _clear(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", *log.SUFFIXES):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
