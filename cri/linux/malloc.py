"""What the C library's allocator keeps: mallopt(3). No effect where the library has no such call.

Source: mallopt(3), malloc.h.
"""

from __future__ import annotations

import ctypes

from cri.linux.libc import lib

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def limit_arenas(arenas: int) -> None:
    """Share so many heaps among all threads; before threads exist. Without it each thread may get its own."""
    _set(_ARENA_MAX, arenas)


def map_from(size_bytes: int) -> None:
    """Give blocks of this size or more back to the kernel when they are freed, whatever was freed before.

    Without it the limit rises to the largest block that was ever freed, and large blocks stay in a heap.
    """
    _set(_MMAP_THRESHOLD, size_bytes)


def keep_free(size_bytes: int) -> None:
    """Let a heap keep so much free memory at its end for the next block.

    map_from() alone brings this down to 128 KB: a buffer of 1 MB would be faulted in anew each time.
    """
    _set(_TRIM_THRESHOLD, size_bytes)


def _set(parameter: int, value: int) -> None:
    if call := getattr(lib, "mallopt", None):
        call(ctypes.c_int(parameter), ctypes.c_int(value))
