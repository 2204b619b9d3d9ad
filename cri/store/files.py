"""A record's directory: `config.pb` written once, `state.json` replaced at each change.

Replacing is by rename in the same directory, so a reader sees the old state or the new one.
Nothing is fsynced: the records are to die with the boot, as the containers do.
"""

import os
import shutil
from pathlib import Path

from cri import failpoint

CONFIG = "config.pb"
STATE = "state.json"


def create(directory: Path, config: bytes, state: bytes) -> None:
    """Make the directory and write both files; the state comes last and is the commit of the intent."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(directory / CONFIG, config)
    failpoint.hit("record.half_written")
    replace(directory / STATE, state)


def replace(path: Path, data: bytes) -> None:
    """Write a file so that it holds the old bytes or the new ones, never a mixture."""
    temporary = f"{path}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)
    os.rename(temporary, path)


def read(directory: Path) -> tuple[bytes, bytes]:
    """Return config and state. Raises FileNotFoundError when the intent was not completed."""
    return (directory / CONFIG).read_bytes(), (directory / STATE).read_bytes()


def delete(directory: Path) -> None:
    """Remove a record; the state goes first, so that a crash leaves what counts as no record."""
    (directory / STATE).unlink(missing_ok=True)
    failpoint.hit("record.half_deleted")
    shutil.rmtree(directory, ignore_errors=True)


def directories(root: Path) -> list[Path]:
    """Return the record directories below root, in name order."""
    try:
        return sorted(entry for entry in root.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []
