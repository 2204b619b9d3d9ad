"""Container events to whoever listens: a bounded queue a listener; a slow one is cut off."""

import contextlib
import queue
import threading
from collections.abc import Iterator

from cri import faults
from cri.api import runtime_pb2 as pb

_LISTENERS_MAX = 16  # a kubelet and a few people; each holds a thread
_QUEUE = 1000  # as containerd's; a kubelet that lags more relists anyway

EventQueue = queue.Queue["pb.ContainerEventResponse | None"]


class EventBus:
    """Publishes without waiting. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: set[EventQueue] = set()
        self._count = 0  # with those that were cut off and have not gone yet

    @property
    def is_heard(self) -> bool:
        """Tell whether anyone listens, so that an event nobody wants need not be built."""
        return bool(self._listeners)

    def publish(self, event: pb.ContainerEventResponse) -> None:
        """Give an event to every listener; one whose queue is full gets None, which ends its stream."""
        with self._lock:
            for listener in list(self._listeners):
                try:
                    listener.put_nowait(event)
                except queue.Full:
                    self._listeners.discard(listener)
                    end(listener)

    def close(self) -> None:
        """End every listener's stream."""
        with self._lock:
            for listener in self._listeners:
                end(listener)
            self._listeners.clear()

    @contextlib.contextmanager
    def listen(self) -> Iterator[EventQueue]:
        """Yield a queue of the events from now on; None in it is the end.

        Raises RuntimeFault RESOURCE_EXHAUSTED with too many listeners.
        """
        listener: EventQueue = queue.Queue(_QUEUE)
        with self._lock:
            if self._count >= _LISTENERS_MAX:
                raise faults.RuntimeFault(
                    faults.Kind.RESOURCE_EXHAUSTED, f"cannot listen to events: {_LISTENERS_MAX} others do"
                )
            self._count += 1
            self._listeners.add(listener)
        try:
            yield listener
        finally:
            with self._lock:
                self._count -= 1
                self._listeners.discard(listener)


def end(listener: EventQueue) -> None:
    """Put the end mark, dropping the oldest event if it must be. Thread-safe."""
    while True:
        try:
            listener.put_nowait(None)
            return
        except queue.Full:
            with contextlib.suppress(queue.Empty):  # its reader was faster
                listener.get_nowait()
