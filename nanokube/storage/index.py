"""The newest state of every key, without values: compare, assign revisions, expiry. Pure.

Both embedded stores decide here, before anything is durable: a write that follows in the queue compares with
the one queued before it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nanokube.storage.store import Conflict, Event, KeyExists, NotFound


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known of a key that exists."""

    mod_revision: int
    create_revision: int
    expires: float = 0.0


class Index:
    """Keys and revisions as of the last accepted write."""

    def __init__(self, revision: int, keys: Iterable[tuple[str, Meta]] = ()) -> None:
        self.revision = revision
        self._keys = dict(keys)
        self._expiry = [(meta.expires, key) for key, meta in self._keys.items() if meta.expires]
        heapq.heapify(self._expiry)

    def find(self, key: str) -> Meta | None:
        """Look a key up."""
        return self._keys.get(key)

    def accept_put(self, key: str, value: bytes, expect: int | None, expires: float) -> tuple[Event, int]:
        """Decide a put; return its event and the key's revision before (0 if new).

        Raises KeyExists, Conflict; then nothing has changed.
        """
        old = self._keys.get(key)
        before = old.mod_revision if old else 0
        if expect is not None and before != expect:
            if expect == 0:
                raise KeyExists(f"cannot create {key}: it exists")
            raise Conflict(key, expect, before)
        self.revision += 1
        create = old.create_revision if old else self.revision
        self._keys[key] = Meta(self.revision, create, expires)
        if expires:
            heapq.heappush(self._expiry, (expires, key))
        return Event(key, value, create, self.revision), before

    def accept_delete(self, key: str, expect: int | None) -> tuple[Event, int]:
        """Decide a delete; return as accept_put. Raises NotFound, Conflict."""
        old = self._keys.get(key)
        if old is None:
            raise NotFound(f"cannot delete {key}: it is absent")
        if expect is not None and old.mod_revision != expect:
            raise Conflict(key, expect, old.mod_revision)
        self.revision += 1
        del self._keys[key]
        return Event(key, None, old.create_revision, self.revision), old.mod_revision

    def expired(self, now: float, limit: int = 500) -> Sequence[tuple[str, int]]:
        """Name keys past their expiry; they are named again later unless deleted."""
        found: list[tuple[str, int]] = []
        again: list[tuple[float, str]] = []
        while self._expiry and self._expiry[0][0] <= now and len(found) < limit:
            expires, key = heapq.heappop(self._expiry)
            meta = self._keys.get(key)
            if meta is not None and meta.expires == expires:
                found.append((key, meta.mod_revision))
                again.append((expires, key))
        for item in again:
            heapq.heappush(self._expiry, item)
        return found
