"""One thread that waits for the ends of all exec sessions."""

import logging
import select
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Exits:
    """Calls back when descriptors become readable. Thread-safe; the thread starts with the first one."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], bool]] = {}
        self._lock = threading.Lock()
        self._is_running = False

    def watch(self, fd: int, callback: Callable[[], bool]) -> None:
        """Call back whenever fd is readable, until that returns True or forget(); it must not block."""
        with self._lock:
            self._callbacks[fd] = callback
            self._epoll.register(fd, select.EPOLLIN)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._serve, name="exits of sessions", daemon=True).start()

    def forget(self, fd: int) -> None:
        """Stop watching; before fd is closed. No error if it is not watched."""
        with self._lock:
            if self._callbacks.pop(fd, None) is not None:
                self._epoll.unregister(fd)

    def _serve(self) -> None:
        while True:
            for fd, _ in self._epoll.poll():
                with self._lock:
                    callback = self._callbacks.get(fd)
                try:
                    if callback is None or callback():
                        self.forget(fd)
                except Exception:  # a task's top: one session's failure is not the others'
                    log.exception("end of a session not handled")
                    self.forget(fd)
