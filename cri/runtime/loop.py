"""A small event loop of one thread: epoll, timers, nothing else. Used where asyncio would cost memory."""

from __future__ import annotations

import heapq
import itertools
import logging
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_WAIT_MAX_S = 3600.0  # epoll_wait(2) takes no more than 2**31 ms


class Timer:
    """A call to come; cancel() makes it none."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Forget the call."""
        self.call = None


class Loop:
    """Calls back when descriptors are ready or times come; a callback's exception is logged and survived."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self.running = True

    def add(self, fd: int, callback: Callable[[], None], events: int = select.EPOLLIN) -> None:
        """Call back whenever fd is ready (level-triggered)."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def remove(self, fd: int) -> None:
        """Stop watching fd; before it is closed. No error if it is not watched."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back once, later."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def run(self) -> None:
        """Serve until running is False."""
        while self.running:
            for fd, _ in self._epoll.poll(self._timeout()):
                if callback := self._callbacks.get(fd):
                    self._call(callback)
            while self._timers and self._timers[0][0] <= time.monotonic():
                timer = heapq.heappop(self._timers)[2]
                if timer.call:
                    self._call(timer.call)

    def _timeout(self) -> float:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return -1
        return min(max(0.0, self._timers[0][0] - time.monotonic()), _WAIT_MAX_S)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            log.exception("callback failed")
