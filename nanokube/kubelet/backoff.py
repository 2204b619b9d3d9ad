"""Exponential back-off by key, as CrashLoopBackOff and ImagePullBackOff count it. Pure: time is passed in.

The first failure is free; after it delays double from 10 s to 5 min and are forgotten after 10 min of peace.
Source: client-go util/flowcontrol/backoff.go.
"""

import dataclasses

INITIAL_S = 10.0
MAXIMUM_S = 300.0


@dataclasses.dataclass(slots=True)
class _Entry:
    delay_s: float
    updated: float


class Backoffs:
    """Delays by key. `since` is when the last failure happened, e.g. a container's finishedAt."""

    def __init__(self, initial_s: float = INITIAL_S, maximum_s: float = MAXIMUM_S) -> None:
        self._initial_s = initial_s
        self._maximum_s = maximum_s
        self._entries: dict[str, _Entry] = {}

    def ready_at(self, key: str, since: float) -> float:
        """Return when the next attempt may start; 0 when it may start now."""
        entry = self._entries.get(key)
        if entry is None or self._is_expired(entry, since):
            return 0.0
        return since + entry.delay_s

    def delay(self, key: str) -> float:
        """Return the delay counted for a key."""
        entry = self._entries.get(key)
        return entry.delay_s if entry else 0.0

    def next(self, key: str, since: float, now: float) -> None:
        """Count an attempt that starts now after a failure at `since`."""
        entry = self._entries.get(key)
        if entry is None or self._is_expired(entry, since):
            self._entries[key] = _Entry(self._initial_s, now)
        else:
            entry.delay_s = min(2 * entry.delay_s, self._maximum_s)
            entry.updated = now

    def forget(self, prefix: str) -> None:
        """Drop every key that starts so."""
        for key in [key for key in self._entries if key.startswith(prefix)]:
            del self._entries[key]

    def _is_expired(self, entry: _Entry, since: float) -> bool:
        return since - entry.updated > 2 * self._maximum_s
