"""Reading files of an image before its container exists: by descriptors, links kept inside the image."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence

from cri.linux import overlay
from cri.linux.openat2 import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

_SIZE_MAX = 1 << 20


def read_accounts(lowers: Sequence[str]) -> tuple[bytes, bytes]:
    """Contents of /etc/passwd and /etc/group of an image; b"" for a missing one. lowers: topmost first.

    Raises OSError, ValueError for files over 1 MiB or not regular.
    """
    tops = _view(lowers)
    try:
        passwd, group = ([read_file(top, f"etc/{name}") for top in tops] for name in ("passwd", "group"))
        return next(filter(None, passwd), b""), next(filter(None, group), b"")
    finally:
        for top in tops:
            os.close(top)


def has_path(lowers: Sequence[str], path: str) -> bool:
    """Tell whether an image has something at path, links kept inside the image. lowers: topmost first."""
    tops = _view(lowers)
    try:
        for top in tops:
            with contextlib.suppress(OSError):
                os.close(openat2(top, path, os.O_PATH, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS))
                return True
        return False
    finally:
        for top in tops:
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


def _view(lowers: Sequence[str]) -> list[int]:
    """Descriptors of the trees to search in order: one that shows all layers (a detached read-only overlay).

    On older kernels each layer is one, as this process must not mount where others see it.
    """
    if len(lowers) == 1 or not overlay.takes_layers_one_by_one():
        return [_open(lower) for lower in lowers]
    return [overlay.tree(lowers)]


def _open(directory: str) -> int:
    return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
