"""openat2(2): open with rules for how the path is resolved."""

from __future__ import annotations

import ctypes
import os
import struct

from cri.linux.libc import function

# include/uapi/linux/openat2.h
RESOLVE_NO_XDEV = 1
RESOLVE_NO_MAGICLINKS = 2
RESOLVE_NO_SYMLINKS = 4
RESOLVE_BENEATH = 8
RESOLVE_IN_ROOT = 16
_openat2 = function("openat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
_TRIES = 256  # a rename or mount anywhere on the host disturbs a path with ".." or a link in it


def openat2(dir_fd: int, path: str | bytes, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """Open path below dir_fd; the descriptor is close-on-exec.

    Raises OSError: ELOOP for a forbidden link, EXDEV for a path that leaves dir_fd, EAGAIN if the tree never
    rests. Source: openat2(2), which has its caller try again.
    """
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(_TRIES - 1):
        try:
            return _openat2(dir_fd, os.fsencode(path), how, len(how))
        except BlockingIOError:
            continue
    return _openat2(dir_fd, os.fsencode(path), how, len(how))
