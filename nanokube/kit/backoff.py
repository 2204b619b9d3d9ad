"""Exponential back-off: how long to wait before the next try. Pure but for the random source."""

import dataclasses
import random
from collections.abc import Callable


@dataclasses.dataclass(slots=True)
class Backoff:
    """Delays that grow by factor from first_s to cap_s, each stretched by up to jitter times itself.

    >>> steady = Backoff(first_s=1, factor=2, cap_s=5, jitter=0)
    >>> [steady.next() for _ in range(4)]
    [1, 2, 4, 5]
    """

    first_s: float = 0.05
    factor: float = 2.0
    cap_s: float = 30.0
    jitter: float = 0.1
    rand: Callable[[], float] = random.random
    _failures: int = 0

    def next(self) -> float:
        """Count a failure and give the seconds to wait for it."""
        # The exponent is bounded: 2.0**1024 overflows long after the cap is reached.
        delay_s = min(self.cap_s, self.first_s * self.factor ** min(self._failures, 64))
        self._failures += 1
        return delay_s * (1 + self.jitter * self.rand()) if self.jitter else delay_s

    def reset(self) -> None:
        """Forget the failures: the last try succeeded."""
        self._failures = 0

    @property
    def failures(self) -> int:
        return self._failures
