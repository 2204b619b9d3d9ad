"""How a thread that waits for something hears that its call's client has left."""

import contextlib
import os
import threading
from collections.abc import Iterator

import grpc


@contextlib.contextmanager
def told(context: grpc.ServicerContext) -> Iterator[int]:
    """Give a descriptor that becomes readable when the call's client leaves."""
    fd = os.eventfd(0, os.EFD_CLOEXEC)
    lock, is_open = threading.Lock(), True

    def tell() -> None:  # at the end of any call, perhaps long after ours
        with lock:
            if is_open:
                os.eventfd_write(fd, 1)

    if not context.add_callback(tell):
        tell()
    try:
        yield fd
    finally:
        with lock:
            is_open = False
            os.close(fd)
