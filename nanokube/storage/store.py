"""The narrow store: a revisioned key-value log with the semantics of etcd v3. Interface, records, errors.

One revision counts all writes. A write compares the key's mod revision, is durable before it is acknowledged,
and is delivered to watches before its caller resumes, so that a cache fed by a watch reads its own writes.
A store may be shared (`is_shared`): then others write too, `revision` is what the watches here were told of,
and who must see what others were told of waits with `synchronize` first; with a store of one's own that costs
nothing.
Only the API server imports this package.
Source: etcd api/v3 rpc.proto (KV, Watch, Compact); Kubernetes staging apiserver pkg/storage/etcd3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

FIRST_REVISION = 1  # of an empty store, as etcd: 0 means "none" in every interface above


class StoreError(Exception):
    """The base of what a store raises."""


class KeyExists(StoreError):
    """A write demanded that the key be absent."""


class Conflict(StoreError):
    """The key's mod revision is not the expected one. revision: what it is, 0 if absent."""

    def __init__(self, key: str, expected: int, revision: int) -> None:
        super().__init__(f"cannot write {key}: expected revision {expected}, found {revision}")
        self.revision = revision


class NotFound(StoreError):
    """The key to delete is absent."""


class Compacted(StoreError):
    """The revision asked for is no longer kept. compacted: the oldest that can be read."""

    def __init__(self, revision: int, compacted: int) -> None:
        super().__init__(f"cannot read revision {revision}: compacted at {compacted}")
        self.compacted = compacted


class FutureRevision(StoreError):
    """The revision asked for has not happened. current: the newest."""

    def __init__(self, revision: int, current: int) -> None:
        super().__init__(f"cannot read revision {revision}: the newest is {current}")
        self.current = current


class Broken(StoreError):
    """A commit failed: nothing is accepted until the store is opened anew."""


class Unavailable(StoreError):
    """The store cannot be reached; nothing was done."""


class Uncertain(StoreError):
    """The store was lost during a write, which may have been done or not, or may be done yet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value at one revision."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Event:
    """One write. value: None if the key was deleted.

    create_revision: equal to revision for a new key; of a deletion, 0 where the store does not keep it.
    """

    key: str
    value: bytes | None
    create_revision: int
    revision: int


@dataclass(frozen=True, slots=True)
class Range:
    """Entries in order of key, as they were at revision. count: how many match without the limit."""

    entries: Sequence[Entry]
    revision: int
    count: int


Deliver = Callable[[Sequence[Event]], None]


class Watch(Protocol):
    """A running watch."""

    def cancel(self) -> None:
        """Deliver nothing more."""
        ...


class Store(Protocol):
    """What every store can do. All methods belong to one event loop."""

    @property
    def revision(self) -> int:
        """The newest durable revision."""
        ...

    @property
    def compacted(self) -> int:
        """History before this revision is forgotten; 0: none is."""
        ...

    @property
    def is_healthy(self) -> bool:
        """Writes can be committed; once not, never again until it is opened anew."""
        ...

    @property
    def is_shared(self) -> bool:
        """Others write to it too; it sweeps and compacts itself."""
        ...

    async def synchronize(self, revision: int = 0) -> None:
        """Wait until watches were told of a revision; 0: of all that anyone was acknowledged by now.

        Raises FutureRevision (it did not come within seconds), Unavailable.
        """
        ...

    async def range(self, start: str, end: str = "", *, limit: int = 0, revision: int = 0) -> Range:
        """Read keys in [start, end), or start alone if end is empty; limit 0: all; revision 0: the newest.

        Raises Compacted, FutureRevision.
        """
        ...

    async def put(self, key: str, value: bytes, *, expect: int | None = None, expires: float = 0.0) -> int:
        """Write a key, and return the revision of the write once it is durable.

        expect: mod revision the key must have, 0: it must be absent, None: anything. A value written with 0
        is like no other (it carries a UID), by which one's own is known after a lost answer.
        expires: seconds since the epoch after which the key may be swept, 0: never.
        Raises KeyExists (expect=0), Conflict, Broken, Unavailable, Uncertain.
        Cancelling does not undo the write.
        """
        ...

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        """Delete a key, and return the revision once durable.

        Raises NotFound, Conflict, Broken, Unavailable, Uncertain.
        """
        ...

    async def watch(self, prefix: str, after: int, deliver: Deliver) -> Watch:
        """Call deliver, on the loop, with batches of the writes below prefix after a revision, in order.

        Past writes are delivered before this returns. deliver must neither block nor raise.
        Raises Compacted, FutureRevision.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget what only revisions before `revision` can see. Raises Compacted, FutureRevision."""
        ...

    def expired(self, now: float) -> Sequence[tuple[str, int]]:
        """Name keys past their expiry, with their mod revision."""
        ...

    async def size(self) -> int:
        """Tell how many bytes its files take; 0: nobody knows at present."""
        ...

    async def close(self) -> None:
        """End all watches; wait until what was accepted is durable."""
        ...


def prefix_end(prefix: str) -> str:
    """Give the end of the range that holds every key beginning with prefix (not empty)."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
