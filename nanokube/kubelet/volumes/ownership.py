"""fsGroup: gives a volume to a group. Blocking.

Source: pkg/volume/volume_linux.go.
"""

import os
from pathlib import Path

_READ_ONLY = 0o440
_READ_WRITE = 0o660
_DIRECTORY = 0o2110  # setgid, so that new files inherit the group; and searchable


def give(path: Path, gid: int, *, is_read_only: bool = False, only_on_mismatch: bool = False) -> None:
    """Give everything below path to a group; links are given, never followed."""
    if only_on_mismatch and _matches(path, gid):
        return
    for directory, names, files, fd in os.fwalk(path, topdown=False, follow_symlinks=False):
        for name in (*names, *files):
            _give_entry(fd, name, gid, is_read_only)
        if Path(directory) == path:
            os.fchown(fd, -1, gid)
            os.fchmod(fd, _mode(os.fstat(fd).st_mode, is_read_only, is_directory=True))


def _give_entry(fd: int, name: str, gid: int, is_read_only: bool) -> None:
    info = os.stat(name, dir_fd=fd, follow_symlinks=False)
    os.chown(name, -1, gid, dir_fd=fd, follow_symlinks=False)
    kind = info.st_mode & 0o170000
    if kind == 0o120000:
        return
    # O_NOFOLLOW: the entry may have become a link meanwhile.
    opened = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    try:
        now = os.fstat(opened).st_mode
        if now & 0o170000 != 0o120000:
            wanted = _mode(now, is_read_only, is_directory=now & 0o170000 == 0o040000)
            os.chmod(f"/proc/self/fd/{opened}", wanted)
    finally:
        os.close(opened)


def _mode(mode: int, is_read_only: bool, *, is_directory: bool) -> int:
    wanted = mode & 0o7777 | (_READ_ONLY if is_read_only else _READ_WRITE)
    return wanted | _DIRECTORY if is_directory else wanted


def _matches(path: Path, gid: int) -> bool:
    info = path.stat()
    return info.st_gid == gid and bool(info.st_mode & 0o2000)
