"""A queue of keys for reconcilers: each key once, never in two hands, later or slower on demand.

    add ──> waiting ──get──> in hand ──done──> (gone)
              ^                 │ add while in hand: marked, waits again at done
    add_after / add_rate_limited: a timer, then add

Source: client-go util/workqueue/{queue,delaying_queue,default_rate_limiters}.go.
"""

import asyncio
import collections

FIRST_RETRY_S = 0.005  # default_rate_limiters.go: DefaultTypedItemBasedRateLimiter
LAST_RETRY_S = 60.0  # upstream lets it grow to 1000 s; a minute is what an operator will wait


class WorkQueue:
    """Keys to reconcile, for any number of workers on one loop."""

    def __init__(self, *, first_retry_s: float = FIRST_RETRY_S, last_retry_s: float = LAST_RETRY_S) -> None:
        self._first_retry_s = first_retry_s
        self._last_retry_s = last_retry_s
        self._order: collections.deque[str] = collections.deque()
        self._waiting: set[str] = set()
        self._in_hand: set[str] = set()
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._getters: collections.deque[asyncio.Future[None]] = collections.deque()

    def __len__(self) -> int:
        return len(self._order)

    @property
    def idle(self) -> bool:
        """True when no key waits or is in hand; keys on a timer do not count."""
        return not self._order and not self._in_hand

    def add(self, key: str) -> None:
        """Queue a key unless it already waits."""
        if key in self._in_hand:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._order.append(key)
            self._wake()

    def add_after(self, key: str, delay_s: float) -> None:
        """Queue a key in delay_s seconds; of several timers of a key the earliest holds."""
        if delay_s <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_s
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._due, key)

    def add_rate_limited(self, key: str) -> float:
        """Queue a key after its exponential back-off; give the seconds until then."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay_s = min(self._last_retry_s, self._first_retry_s * 2.0 ** min(failures, 64))
        self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: str) -> None:
        """Reset the back-off of a key: its last reconcile succeeded."""
        self._failures.pop(key, None)

    def failures(self, key: str) -> int:
        """Count the failures since the key was last forgotten."""
        return self._failures.get(key, 0)

    async def get(self) -> str:
        """Wait for a key and take it in hand; done(key) must follow."""
        while not self._order:
            getter = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                getter.cancel()
                if self._order:
                    self._wake()
                raise
        key = self._order.popleft()
        self._waiting.discard(key)
        self._in_hand.add(key)
        return key

    def done(self, key: str) -> None:
        """Let go of a key; if it was added meanwhile it waits again."""
        self._in_hand.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Stop the timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _due(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return
