"""One call as its handler sees it: what of grpc.ServicerContext handlers here use. Thread-safe."""

import threading
import time
from collections.abc import Callable
from typing import NoReturn, Protocol

import grpc


class Aborted(Exception):
    """A handler ended its call with a status."""


class Wire(Protocol):
    """Where a call's answer goes."""

    def begin(self, call: "Call") -> None:
        """Send the headers that come before messages."""


class Call:
    """A request that is complete, and its answer's state.

    deadline: of time.monotonic(), None = none. window: bytes the client takes of this call's answer now.
    """

    __slots__ = (
        "_callbacks",
        "_lock",
        "code",
        "deadline",
        "details",
        "has_begun",
        "is_complete",
        "is_over",
        "path",
        "request",
        "stream",
        "window",
        "wire",
    )

    def __init__(self, wire: Wire, stream: int, window: int) -> None:
        self.wire = wire
        self.stream = stream
        self.window = window
        self.path = ""
        self.request = bytearray()
        self.deadline: float | None = None
        self.is_complete = False  # all of the request is there
        self.has_begun = False  # the headers were sent
        self.is_over = False  # answered, or nobody waits for the answer
        self.code: grpc.StatusCode = grpc.StatusCode.OK
        self.details = ""
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def is_active(self) -> bool:
        """Tell whether the client still waits."""
        return not self.is_over and (self.deadline is None or time.monotonic() < self.deadline)

    def time_remaining(self) -> float | None:
        """Seconds until the client gives up; None = it does not say."""
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call back when the call is answered or its client has left; False if that is so already."""
        with self._lock:
            if not self.is_over:
                self._callbacks.append(callback)
            return not self.is_over

    def send_initial_metadata(self, metadata: object) -> None:
        """Let the client know that its call is served, before the first message."""
        self.wire.begin(self)

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with a status. Raises Aborted."""
        self.code, self.details = code, details
        raise Aborted(details)

    def end(self) -> None:
        """Mark the call as over and call back."""
        with self._lock:
            self.is_over = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
