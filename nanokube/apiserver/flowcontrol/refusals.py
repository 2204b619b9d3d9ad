"""After how many seconds a refused client should come back: longer, the more were refused lately. Pure.

Source: apiserver/pkg/util/flowcontrol/dropped_requests_tracker.go.
"""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_S: Final = 32


class Refusals:
    """Counts the refusals of one level, second by second."""

    def __init__(self) -> None:
        self.retry_after_s = 1
        self._second = 0
        self._count = 0
        self._changed = 0
        self._history: deque[tuple[int, int]] = deque()

    def note(self, now: float) -> None:
        """Count one refusal; with each new second, judge those before."""
        second = int(now)
        if second == self._second:
            self._count += 1
            return
        if self._count:
            self._history.append((self._second, self._count))
        while self._history and self._second - self._history[0][0] > min(2 * self.retry_after_s, MAX_S):
            self._history.popleft()
        self._second, self._count = second, 1
        self._judge(second)

    def _judge(self, now: int) -> None:
        wait = self.retry_after_s
        recent = sum(count for second, count in self._history if now - second <= wait)
        if now - self._changed >= wait and recent >= 3 * wait:
            self.retry_after_s, self._changed = min(2 * wait, MAX_S), now
        elif recent < wait and wait > 1:
            self.retry_after_s -= 1
