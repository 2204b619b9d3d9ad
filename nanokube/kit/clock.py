"""Time as an argument: the wall clock for what is written down, the loop's clock for what is waited for."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where a component reads the time; tests pass one they move by hand."""

    def time(self) -> float:
        """Give the wall clock: seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never run backwards; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clocks."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class LoopClock:
    """Both clocks derived from the running loop's, so that a virtual loop moves them together."""

    def __init__(self, epoch_s: float = 1_750_000_000.0) -> None:
        self._epoch_s = epoch_s

    def time(self) -> float:
        return self._epoch_s + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, epoch_s: float = 1_750_000_000.0) -> None:
        self._epoch_s = epoch_s
        self._passed_s = 0.0

    def time(self) -> float:
        return self._epoch_s + self._passed_s

    def monotonic(self) -> float:
        return self._passed_s

    def advance(self, seconds: float) -> None:
        """Move forward by seconds."""
        self._passed_s += seconds


SYSTEM = SystemClock()
