"""The supervisor's side of the log pump: never waits, connects again when the pump was restarted."""

from __future__ import annotations

import logging
import socket

from cri.runtime import packets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cri.runtime.loop import Loop

log = logging.getLogger(__name__)

_RETRY_S = 0.05


class LogClient:
    """Adds and flushes containers' streams. readd: gives all live streams again to a new pump."""

    def __init__(self, loop: Loop, path: str, readd: Callable[[], None]) -> None:
        self._loop = loop
        self._path = path
        self._readd = readd
        self._socket: socket.socket | None = None
        self._flushing: dict[str, Callable[[], None]] = {}

    def connect(self) -> None:
        """Connect, now or soon; then give all streams."""
        try:
            self._socket = packets.connect(self._path)
        except OSError:
            self._loop.after(_RETRY_S, self.connect)
            return
        self._socket.setblocking(False)
        self._loop.add(self._socket.fileno(), self._on_answer)
        self._readd()

    def add(self, container_id: str, log_path: str, *, tty: bool, fds: Sequence[int]) -> None:
        """Have the pump read these streams from now on (the descriptors are duplicated)."""
        self._send({"op": "add", "id": container_id, "path": log_path, "tty": tty}, fds)

    def flush(self, container_id: str, done: Callable[[], None]) -> None:
        """Have the pump write the streams' last output and let go of them; then call done."""
        if self._socket is None:
            done()
            return
        self._flushing[container_id] = done
        self._send({"op": "flush", "id": container_id})

    def forget(self, container_id: str) -> None:
        """No more calls for this container."""
        self._flushing.pop(container_id, None)

    def _send(self, message: dict[str, object], fds: Sequence[int] = ()) -> None:
        if self._socket is None:
            return  # the streams are given when it is back
        try:
            packets.send(self._socket, message, fds)
        except OSError:
            self._lost()

    def _on_answer(self) -> None:
        try:
            received = packets.receive(self._socket) if self._socket else None
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self._lost()
            return
        if done := self._flushing.pop(received[0].get("flushed", ""), None):
            done()

    def _lost(self) -> None:
        if self._socket is None:
            return
        log.warning("log pump is gone: connecting again")
        self._loop.remove(self._socket.fileno())
        self._socket.close()
        self._socket = None
        waiting, self._flushing = self._flushing, {}
        for done in waiting.values():
            done()
        self._loop.after(_RETRY_S, self.connect)
