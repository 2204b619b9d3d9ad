"""The store in memory, for tests and clusters that may forget."""

from __future__ import annotations

from collections.abc import Sequence

from nanokube.storage.fanout import Fanout, Subscription
from nanokube.storage.index import Index
from nanokube.storage.store import (
    FIRST_REVISION,
    Compacted,
    Deliver,
    Entry,
    Event,
    FutureRevision,
    Range,
    prefix_end,
)


class MemoryStore:
    """A list of events; every read folds it, which is plenty for a test."""

    def __init__(self) -> None:
        self._index = Index(FIRST_REVISION)
        self._log: list[Event] = []
        self._fanout = Fanout()
        self._compacted = 0

    @property
    def revision(self) -> int:
        """The newest revision."""
        return self._index.revision

    @property
    def compacted(self) -> int:
        """History before this revision is forgotten."""
        return self._compacted

    @property
    def is_healthy(self) -> bool:
        """Always."""
        return True

    @property
    def is_shared(self) -> bool:
        """Nobody else writes."""
        return False

    async def synchronize(self, revision: int = 0) -> None:
        """Nothing is waited for: watches know every write. Raises FutureRevision."""
        if revision > self.revision:
            raise FutureRevision(revision, self.revision)

    async def range(self, start: str, end: str = "", *, limit: int = 0, revision: int = 0) -> Range:
        """Read keys; see Store."""
        self._check(revision, revision and revision < self._compacted)
        at = revision or self.revision
        found: dict[str, Entry] = {}
        for event in self._log:
            if event.revision > at:
                break
            if not (start <= event.key < end if end else event.key == start):
                continue
            if event.value is None:
                found.pop(event.key, None)
            else:
                found[event.key] = Entry(event.key, event.value, event.create_revision, event.revision)
        entries = [found[key] for key in sorted(found)]
        return Range(entries[:limit] if limit else entries, at, len(entries))

    async def put(self, key: str, value: bytes, *, expect: int | None = None, expires: float = 0.0) -> int:
        """Write a key; see Store."""
        return self._commit(self._index.accept_put(key, value, expect, expires)[0])

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        """Delete a key; see Store."""
        return self._commit(self._index.accept_delete(key, expect)[0])

    async def watch(self, prefix: str, after: int, deliver: Deliver) -> Subscription:
        """Watch; see Store."""
        self._check(after, after < self._compacted)
        subscription = self._fanout.subscribe(prefix, after, deliver)
        subscription.go([event for event in self._log if event.revision > after])
        return subscription

    async def compact(self, revision: int) -> None:
        """Forget; see Store."""
        self._check(revision, revision <= self._compacted)
        kept = (await self.range("\0", prefix_end("\U0010fffe"), revision=revision)).entries
        newer = [event for event in self._log if event.revision > revision]
        old = [Event(e.key, e.value, e.create_revision, e.mod_revision) for e in kept]
        self._log = sorted(old, key=lambda event: event.revision) + newer
        self._compacted = revision

    def expired(self, now: float) -> Sequence[tuple[str, int]]:
        """Name keys past their expiry."""
        return self._index.expired(now)

    async def size(self) -> int:
        """Add up what is kept of values."""
        return sum(len(event.value or b"") for event in self._log)

    async def close(self) -> None:
        """End all watches."""
        self._fanout.clear()

    def _commit(self, event: Event) -> int:
        self._log.append(event)
        self._fanout.publish((event,))
        return event.revision

    def _check(self, revision: int, is_compacted: int | bool) -> None:
        if is_compacted:
            raise Compacted(revision, self._compacted)
        if revision > self.revision:
            raise FutureRevision(revision, self.revision)
