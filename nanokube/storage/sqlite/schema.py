"""Tables of the SQLite store, and how its file is opened.

kv is append-only: one row a write. rev is the revision, prev_rev the row that this one supersedes (0: none),
which makes compaction a lookup instead of a grouping. meta: "compacted", the revision; "log", the number by
which the log names this database. Files of version 1 had no log.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from nanokube.storage.store import FIRST_REVISION

VERSION = 2

_TABLES = """
CREATE TABLE IF NOT EXISTS kv(
  rev INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  create_rev INTEGER NOT NULL,
  prev_rev INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  expires REAL NOT NULL,
  value BLOB
);
CREATE INDEX IF NOT EXISTS kv_key ON kv(key, rev);
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

INSERT = "INSERT INTO kv(rev, key, create_rev, prev_rev, deleted, expires, value) VALUES"  # followed by ROWs
ROW = "(?,?,?,?,?,?,?)"

# The newest row of each key in a range of keys at a revision, without the deleted.
LIVE = """FROM kv WHERE rev IN (
  SELECT max(rev) FROM kv WHERE key >= :start AND key < :end AND rev <= :revision GROUP BY key
) AND deleted = 0"""


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """Open the file; WAL with a sync at each commit: a commit that returned survives a power cut.

    Raises sqlite3.Error.
    """
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA busy_timeout=10000")
    if readonly:
        db.execute("PRAGMA query_only=ON")
        return db
    db.execute("PRAGMA journal_mode=WAL").fetchone()
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA wal_autocheckpoint=1000")
    return db


def create(db: sqlite3.Connection) -> None:
    """Make the tables of a new file; one that has them is not written to, so that a full disk can be read.

    Raises sqlite3.DatabaseError for a file of a newer version.
    """
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        raise sqlite3.DatabaseError(f"cannot open store: it has version {found}, known is {VERSION}")
    if found == VERSION:
        return
    identity = int.from_bytes(os.urandom(7), "little")
    db.executescript(
        f"BEGIN IMMEDIATE; {_TABLES} INSERT OR IGNORE INTO meta VALUES('log', {identity});"
        f" PRAGMA user_version={VERSION}; COMMIT"
    )


def meta(db: sqlite3.Connection, name: str) -> int:
    """Read a number that belongs to the database; 0 if it has none. Raises sqlite3.Error."""
    found = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0


def revision(db: sqlite3.Connection) -> int:
    """Read the newest revision in the tables. Raises sqlite3.Error."""
    newest = db.execute("SELECT max(rev) FROM kv").fetchone()[0] or 0
    return max(int(newest), meta(db, "compacted"), FIRST_REVISION)
