"""Reading files of an image before its container exists: by descriptors, links kept inside the image."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from cri.linux import mount
from cri.linux.openat2 import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

_SIZE_MAX = 1 << 20


def read_accounts(lowers: Sequence[str]) -> tuple[bytes, bytes]:
    """Contents of /etc/passwd and /etc/group of an image; b"" for a missing one. lowers: topmost first.

    Raises OSError, ValueError for files over 1 MiB or not regular.
    """
    top = _view(lowers)
    try:
        return read_file(top, "etc/passwd"), read_file(top, "etc/group")
    finally:
        os.close(top)


def read_file(top: int, path: str) -> bytes:
    """Content of a regular file below the directory top, b"" if it is missing."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    try:
        fd = openat2(top, path, flags, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"cannot read {path} of the image: not a regular file")
        if status.st_size > _SIZE_MAX:
            raise ValueError(f"cannot read {path} of the image: {status.st_size} bytes are too many")
        return file.read(_SIZE_MAX)


def _view(lowers: Sequence[str]) -> int:
    """A descriptor of the layers seen as one tree (a detached read-only overlay if there are several)."""
    if len(lowers) == 1:
        return os.open(lowers[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    context = mount.fsopen("overlay")
    try:
        try:
            for lower in lowers:
                mount.fsconfig_string(context, "lowerdir+", lower)
        except OSError:  # Linux before 6.8
            mount.fsconfig_string(context, "lowerdir", ":".join(lowers))
        mount.fsconfig_create(context)
        return mount.fsmount(context, mount.MOUNT_ATTR_RDONLY)
    finally:
        os.close(context)
