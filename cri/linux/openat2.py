"""openat2(2): open with rules for how the path is resolved."""

from __future__ import annotations

import os
import struct

from cri.linux.libc import syscall

# include/uapi/linux/openat2.h
RESOLVE_NO_XDEV = 1
RESOLVE_NO_MAGICLINKS = 2
RESOLVE_NO_SYMLINKS = 4
RESOLVE_BENEATH = 8
RESOLVE_IN_ROOT = 16


def openat2(dir_fd: int, path: str | bytes, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """Open path below dir_fd; the descriptor is close-on-exec.

    Raises OSError: ELOOP for a forbidden link, EXDEV for a path that leaves dir_fd, EAGAIN for a race.
    """
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, resolve)
    return syscall("openat2", dir_fd, os.fsencode(path), how, len(how))
