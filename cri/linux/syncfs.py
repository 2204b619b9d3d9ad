"""Write one filesystem's cached data to its disk: syncfs(2)."""

from __future__ import annotations

import ctypes

from cri.linux.libc import check, lib


def syncfs(fd: int) -> None:
    """Flush the filesystem that holds fd. Blocks until done. Raises OSError. Source: syncfs(2)."""
    check(lib.syncfs(ctypes.c_int(fd)), "syncfs")
