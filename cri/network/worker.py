"""Entering network, IPC and UTS namespaces for the time of a function.

unshare(2) and setns(2) change the calling thread alone for these three kinds, which makes them legal in a
process with threads. A thread that cannot go back must do nothing else, whatever it serves: the process ends,
and keeper starts another, which takes up what was under way.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cri.linux import clone

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

FLAGS = {"net": clone.CLONE_NEWNET, "ipc": clone.CLONE_NEWIPC, "uts": clone.CLONE_NEWUTS}
# Creating namespaces takes one global lock in the kernel: more threads only wait for each other.
AT_ONCE = 2


class NetworkWorker:
    """Runs functions that move their thread to other namespaces. Make it where the host's are."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._turns = threading.Semaphore(at_once)
        self._home = [
            (kind, os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)) for kind in FLAGS
        ]
        self._inodes = {kind: os.fstat(fd).st_ino for kind, fd in self._home}

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return function(*args), and with it to the namespaces we came from; may wait for its turn."""
        with self._turns:
            try:
                return function(*args, **kwargs)
            finally:
                self._return()

    def close(self) -> None:
        """Let go of descriptors, after the last run()."""
        home, self._home = self._home, []
        for _, fd in home:
            os.close(fd)

    def _return(self) -> None:
        """Bring the thread back to where it came from, or end the process."""
        try:
            for kind, fd in self._home:
                if os.stat(f"/proc/thread-self/ns/{kind}").st_ino != self._inodes[kind]:
                    clone.setns(fd, FLAGS[kind])
        except OSError:
            log.exception("thread could not return to the host's namespaces: the server ends")
            os._exit(1)
