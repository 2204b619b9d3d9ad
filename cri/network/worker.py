"""The threads that enter network, IPC and UTS namespaces, so that no other thread ever does.

unshare(2) and setns(2) change the calling thread alone for these three kinds, which makes them legal in a
process with threads. After each job the thread goes back to the host's namespaces; one that cannot go back
takes no more jobs and ends, and another takes its place.
"""

import logging
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

from cri.linux import clone

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

FLAGS = {"net": clone.CLONE_NEWNET, "ipc": clone.CLONE_NEWIPC, "uts": clone.CLONE_NEWUTS}
# Creating namespaces takes one global lock in the kernel: more threads only wait for each other.
THREADS = 2


class NetworkWorker:
    """Runs functions, each alone on a thread, from the host's namespaces and back to them."""

    def __init__(self, threads: int = THREADS) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._count = threads
        for _ in range(threads):
            self._spawn()

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run function(*args) on a worker thread; block for its result or exception."""
        future: Future[T] = Future()

        def job() -> None:
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as err:  # the caller's to handle
                future.set_exception(err)

        self._jobs.put(job)
        return future.result()

    def close(self) -> None:
        """Let the threads end after the jobs already given."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _spawn(self) -> None:
        threading.Thread(target=self._serve, name="network", daemon=True).start()

    def _serve(self) -> None:
        home = [(kind, os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)) for kind in FLAGS]
        try:
            while (job := self._jobs.get()) is not None:
                job()
                if not _return(home):
                    self._spawn()
                    return
        finally:
            for _, fd in home:
                os.close(fd)


def _return(home: list[tuple[str, int]]) -> bool:
    """Bring the thread back to where it came from; tell whether that worked."""
    try:
        for kind, fd in home:
            if os.stat(f"/proc/thread-self/ns/{kind}").st_ino != os.fstat(fd).st_ino:
                clone.setns(fd, FLAGS[kind])
    except OSError:
        log.exception("network thread could not return to the host's namespaces")
        return False
    return True
