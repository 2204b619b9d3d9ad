"""Work inside another network namespace, from a process that has threads."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from cni.skel import CniError, Code

if sys.version_info >= (3, 12):
    _CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h

    def _enter(fd: int) -> None:
        os.setns(fd, _CLONE_NEWNET)
else:
    from pyroute2.netns import setns as _enter  # Python 3.11 has no setns(2) of its own

_T = TypeVar("_T")


def run(fd: int, work: Callable[[], _T]) -> _T:
    """Call work in the network namespace of descriptor fd.

    A thread of its own enters and ends there, so no failure can leave the caller's thread in the wrong one.
    Raises what work raises, OSError when the namespace cannot be entered.
    """
    results: list[_T] = []
    failures: list[BaseException] = []

    def enter_and_work() -> None:
        try:
            _enter(fd)
            results.append(work())
        except BaseException as err:  # handed to the caller, whatever it is
            failures.append(err)

    thread = threading.Thread(target=enter_and_work, name="netns")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """Open a namespace file. Raises CniError when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as err:
        raise CniError(Code.UNKNOWN_CONTAINER, f"cannot open network namespace {path}", str(err)) from err
    try:
        yield fd
    finally:
        os.close(fd)
