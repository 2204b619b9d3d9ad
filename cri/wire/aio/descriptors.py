"""Pipes, FIFOs and terminals (any pollable descriptor) on the event loop, without threads."""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable

CHUNK_BYTES = 32 * 1024


async def read(fd: int, size: int = CHUNK_BYTES) -> bytes:
    """Read some bytes from a non-blocking descriptor; b"" at the end (EIO: a terminal's last user left)."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:
            await _ready(fd, loop.add_reader, loop.remove_reader)
        except OSError as err:
            if err.errno == errno.EIO:
                return b""
            raise


async def write(fd: int, data: bytes) -> None:
    """Write all bytes to a non-blocking descriptor. Raises BrokenPipeError when nobody reads any more."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await _ready(fd, loop.add_writer, loop.remove_writer)
        except OSError as err:
            if err.errno == errno.EIO:
                raise BrokenPipeError(errno.EPIPE, "terminal is closed") from err
            raise


def close(fd: int | None) -> None:
    """Close a descriptor that nothing waits for."""
    if fd is not None:
        with contextlib.suppress(OSError):
            os.close(fd)


async def _ready(
    fd: int, add: Callable[[int, Callable[[], None]], object], remove: Callable[[int], object]
) -> None:
    event = asyncio.Event()
    add(fd, event.set)
    try:
        await event.wait()
    finally:
        remove(fd)
