"""Files that change all at once: a timestamped directory behind the link ..data, swapped by rename. Blocking.

    <target>/..2026_01_02_03_04_05.123456789/key    the content
    <target>/..data -> ..2026_01_02_...             swapped atomically
    <target>/key -> ..data/key                      what users open; stable

Source: pkg/volume/util/atomic_writer.go.
"""

import dataclasses
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

DATA = "..data"
_NEW_DATA = "..data_tmp"


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """One projected file. uid: its owner where that is not root (service account tokens)."""

    content: bytes
    mode: int
    uid: int = -1


def write(target: Path, files: Mapping[str, File], *, gid: int | None = None) -> bool:
    """Make target hold exactly these files (paths relative, never leaving it). Returns whether any changed.

    gid: group that owns and may read them.
    """
    for path in files:
        _check(path)
    current = _current(target)
    if current is not None and _is_same(current, files):
        _link(target, files)
        return False
    fresh = _new_directory(target)
    for path, file in files.items():
        _write_file(fresh, path, file, gid)
    if gid is not None:
        _chown_directories(fresh, gid)
    temporary = target / _NEW_DATA
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(fresh.name)
    temporary.rename(target / DATA)
    _link(target, files)
    _unlink_stale(target, files)
    if current is not None:
        shutil.rmtree(current, ignore_errors=True)
    return True


def _check(path: str) -> None:
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or path.startswith("..") or "\0" in path:
        raise ValueError(f"cannot project {path!r}: the path leaves the volume")


def _current(target: Path) -> Path | None:
    try:
        return target / os.readlink(target / DATA)
    except OSError:
        return None


def _is_same(directory: Path, files: Mapping[str, File]) -> bool:
    present = {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}
    if present != set(files):
        return False
    for name, file in files.items():
        path = directory / name
        info = path.stat()
        if info.st_size != len(file.content) or info.st_mode & 0o7777 & ~0o440 != file.mode & ~0o440:
            return False
        if path.read_bytes() != file.content:
            return False
    return True


def _new_directory(target: Path) -> Path:
    stamp = time.time_ns()
    name = time.strftime("..%Y_%m_%d_%H_%M_%S", time.gmtime(stamp // 10**9))
    directory = target / f"{name}.{stamp % 10**9:09d}"
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    return directory


def _write_file(directory: Path, name: str, file: File, gid: int | None) -> None:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        view = memoryview(file.content)
        while view:
            view = view[os.write(descriptor, view) :]
        mode = file.mode
        if gid is not None:
            os.fchown(descriptor, file.uid, gid)
            mode |= 0o440
        elif file.uid >= 0:
            os.fchown(descriptor, file.uid, -1)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _chown_directories(directory: Path, gid: int) -> None:
    for path in (directory, *(p for p in directory.rglob("*") if p.is_dir())):
        os.chown(path, -1, gid)
        path.chmod(0o2755 | 0o070)


def _link(target: Path, files: Mapping[str, File]) -> None:
    for top in {name.split("/")[0] for name in files}:
        link = target / top
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{top}")


def _unlink_stale(target: Path, files: Mapping[str, File]) -> None:
    keep = {name.split("/")[0] for name in files}
    for entry in os.scandir(target):
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in keep:
            os.unlink(entry.path)
