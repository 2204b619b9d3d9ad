"""CPU rates: the use since a container's reading before, as nanoseconds of CPU a second."""

import threading


class Rates:
    """Remembers the last reading of each object. Thread-safe."""

    # Two readings closer than this give noise; the rate before is repeated instead.
    SPAN_NS_MIN = 500_000_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, tuple[int, int, int | None]] = {}

    def update(self, identity: str, timestamp: int, total_ns: int) -> int | None:
        """Note a reading and return the rate, None at the first."""
        with self._lock:
            if identity not in self._last:
                self._last[identity] = (timestamp, total_ns, None)
                return None
            then, total_then, rate = self._last[identity]
            if timestamp - then < self.SPAN_NS_MIN:
                return rate
            rate = max(0, total_ns - total_then) * 1_000_000_000 // (timestamp - then)
            self._last[identity] = (timestamp, total_ns, rate)
            return rate

    def forget(self, identity: str) -> None:
        """Drop an object that is gone."""
        with self._lock:
            self._last.pop(identity, None)
