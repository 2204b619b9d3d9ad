"""Time as an argument: the wall clock for what is written down, the loop's clock for what is waited for."""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Final, Protocol

# Names a file with the seconds by which this process's wall clock is wrong; for labs and tests.
OFFSET_VARIABLE: Final = "NANOKUBE_CLOCK_OFFSET_FILE"
OFFSET_LOOK_S: Final = 0.5


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


class OffsetClock:
    """The machine's clocks, the wall clock wrong by what a file says, which may change at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset_s = 0.0
        self._look = 0.0

    def time(self) -> float:
        now = time.monotonic()
        if now >= self._look:
            self._look = now + OFFSET_LOOK_S
            with contextlib.suppress(OSError, ValueError):
                self._offset_s = float(self._file.read_text())
        return time.time() + self._offset_s

    def monotonic(self) -> float:
        return time.monotonic()


def system() -> Clock:
    """Return the machine's clocks, or wrong ones if the environment asks for them."""
    file = os.environ.get(OFFSET_VARIABLE)
    return OffsetClock(Path(file)) if file else SystemClock()


SYSTEM: Final[Clock] = system()
