"""Network and IPC namespaces made ahead for the next sandbox: making a network takes the kernel 0.7 ms.

A spare is nothing but open descriptors, so it goes with the process, however that ends. It is made a moment
after a sandbox took the last one, when that Pod's start is over, and kept for seconds only: a network
namespace inherits settings (tcp_rmem, conf/default, ...) from the host's as they were when it was made.
Source: Linux net/ipv4/tcp_ipv4.c tcp_sk_init, net/ipv4/devinet.c devinet_init_net.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable

from cri.linux import clone
from cri.network import sandbox
from cri.network.worker import FLAGS, NetworkWorker

log = logging.getLogger(__name__)

KINDS = ("net", "ipc")  # a UTS namespace costs nothing, and inherits the host's name
KEEP_S = 10.0
DELAY_S = 0.1  # a start takes 20 ms
_TICK_S = 0.1  # of the thread, as long as there is something to do: who takes a spare wakes nobody


class Spares:
    """At most size spares. Thread-safe; take() never waits for the kernel."""

    def __init__(
        self,
        make: Callable[[], dict[str, int]] | None = None,
        size: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._size = size if make else 0
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: list[tuple[float, dict[str, int]]] = []  # until when, descriptors by kind; oldest first
        self._due = math.inf  # when to make what is missing
        self._is_idle = self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="spare namespaces", daemon=True)

    def start(self) -> None:
        """Begin to make spares, once one was asked for."""
        if self._size:
            self._thread.start()

    def take(self) -> dict[str, int]:
        """Return descriptors by kind, the caller's to close; {} when there is no spare. Asks for another."""
        with self._changed:
            if not self._size:
                return {}
            now = self._clock()
            self._due = now + DELAY_S
            if self._is_idle:
                self._changed.notify()
            self._drop(now)
            return self._ready.pop()[1] if self._ready else {}

    def tend(self) -> float | None:
        """Drop what is old, make one that is missing and due; return seconds until the next look, or None."""
        with self._changed:
            now = self._clock()
            self._drop(now)
            missing = not self._is_closed and len(self._ready) < self._size
        if missing and self._due <= now:
            self._fill()
        with self._changed:
            return _TICK_S if self._ready or self._due < math.inf else None

    def close(self) -> None:
        """Drop all, for good."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._drop(math.inf)

    def _fill(self) -> None:
        assert self._make is not None
        due = self._due
        try:
            made = self._make()
        except OSError as err:
            log.warning("no namespaces made ahead: %s", err)
            made = {}
        with self._changed:
            if made:
                self._ready.append((self._clock() + KEEP_S, made))
            is_done = not made or len(self._ready) >= self._size
            if is_done and self._due == due:  # else one was taken meanwhile
                self._due = math.inf

    def _drop(self, now: float) -> None:
        while self._ready and self._ready[0][0] <= now:
            close(self._ready.pop(0)[1])

    def _run(self) -> None:
        while not self._is_closed:
            pause = self.tend()
            with self._changed:
                if self._is_closed:
                    return
                self._is_idle = pause is None and self._due == math.inf
                self._changed.wait(pause if self._is_idle or pause else _TICK_S)
                self._is_idle = False


def of(worker: NetworkWorker, size: int) -> Spares:
    """Return spares that are made on a network worker's turns."""
    return Spares(lambda: worker.run(make), size)


def make() -> dict[str, int]:
    """Make new namespaces with loopback up; return descriptors. Leaves the thread inside. Raises OSError."""
    clone.unshare(sum(FLAGS[kind] for kind in KINDS))
    sandbox.raise_loopback()
    made: dict[str, int] = {}
    try:
        for kind in KINDS:
            made[kind] = os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        close(made)
        raise
    return made


def close(made: dict[str, int]) -> None:
    """Let go of a spare."""
    for fd in made.values():
        os.close(fd)
