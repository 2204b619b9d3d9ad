"""All objects of one resource, in order, with the recent past; reads and watches are served from here.

The store delivers every durable write before its writer resumes, so this cache is never behind what a client
was told. A change is encoded once per form and written to all its watchers.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from nanokube.apiserver.cache import fields
from nanokube.apiserver.cache.item import Item, splice
from nanokube.apiserver.cache.outbox import Outbox
from nanokube.apiserver.cache.selected import Selected
from nanokube.apiserver.cache.selection import Selection
from nanokube.storage.store import Entry, Event

# A watch resumes within this many changes of its resource; older ones begin with a new list.
HISTORY: Final = 4096

# The encoded forms of this many changes are kept for who resumes; all who watch have taken them already.
FRESH: Final = 64

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"


class Change:
    """One write. item: the new state, or the last one with the deletion's revision."""

    __slots__ = ("encoded", "item", "previous", "type")

    def __init__(self, type_: str, item: Item, previous: Item | None) -> None:
        self.type = type_
        self.item = item
        self.previous = previous
        self.encoded: dict[object, bytes] = {}  # (event type, form) -> framed bytes, shared by all watchers

    @property
    def revision(self) -> int:
        """When it happened."""
        return self.item.revision


class Watcher(Protocol):
    """Who wants changes. offer must neither block nor raise."""

    def offer(self, change: Change) -> None:
        """Take a change."""
        ...

    def tick(self, now: float, revision: int) -> None:
        """Time has passed and the cache is at revision: bookmarks."""
        ...


class TooOld(Exception):
    """A watch from a revision whose changes are forgotten. oldest: from where one may start."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"history begins at {oldest}")
        self.oldest = oldest


class Cache:
    """One resource. outbox: where its watches take turns."""

    def __init__(self, storage_name: str, revision: int, outbox: Outbox) -> None:
        self.storage_name = storage_name
        self.outbox = outbox
        self.changed = revision  # revision of the last change
        self._oldest = revision
        self._items: dict[str, Item] = {}
        self._keys: list[str] = []
        self._whole: dict[str, Selected] = {}  # by namespace, till the next change or tick
        self._history: deque[Change] = deque()
        self._watchers: dict[Watcher, None] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def load(self, entries: Sequence[tuple[str, Entry]]) -> None:
        """Fill an empty cache from the store: (key, entry) pairs."""
        for key, entry in entries:
            raw = splice(entry.value, entry.mod_revision)
            self._items[key] = Item(key, raw, entry.mod_revision, entry.create_revision)
        self._keys = sorted(self._items)

    def find(self, key: str) -> Item | None:
        """Look an object up by "namespace/name" or "name"."""
        return self._items.get(key)

    def scan(self, namespace: str = "", start: str = "") -> Iterator[Item]:
        """Yield objects in order of key, of one namespace or all, from key `start` on."""
        prefix = f"{namespace}/" if namespace else ""
        at = bisect.bisect_left(self._keys, max(start, prefix))
        end = (
            bisect.bisect_left(self._keys, f"{namespace}0") if namespace else len(self._keys)
        )  # "0" follows "/"
        items = self._items
        for key in self._keys[at:end]:
            yield items[key]

    def select(self, selection: Selection, start: str = "") -> list[Item]:
        """List what is selected, in order of key; nobody changes the result."""
        if selection.is_plain and not start:
            whole = self._whole.get(selection.namespace)
            if whole is None:
                whole = self._whole[selection.namespace] = Selected(self.scan(selection.namespace))
            return whole
        found = self.scan(selection.namespace, start)
        if selection.is_plain:
            return list(found)
        return [item for item in found if selection.matches(item, self.read_fields)]

    def read_fields(self, obj: Mapping[str, Any]) -> Mapping[str, str]:
        """Read an object's field labels."""
        return fields.read(self.storage_name, obj)

    def apply(self, key: str, event: Event) -> None:
        """Take a durable write and pass it on."""
        old = self._items.get(key)
        if event.value is not None:
            item = Item(key, splice(event.value, event.revision), event.revision, event.create_revision)
            change = Change(MODIFIED if old else ADDED, item, old)
            self._items[key] = item
            if old is None:
                bisect.insort(self._keys, key)
        elif old is not None:
            change = Change(DELETED, old.at(event.revision), old)
            del self._items[key]
            del self._keys[bisect.bisect_left(self._keys, key)]
        else:
            return
        self._whole.clear()
        self.changed = event.revision
        self._history.append(change)
        if len(self._history) > FRESH:
            self._history[-FRESH].encoded.clear()  # who still waits for its turn has the bytes
        if len(self._history) > HISTORY:
            self._oldest = self._history.popleft().revision
        for watcher in tuple(self._watchers):
            watcher.offer(change)

    def since(self, revision: int) -> list[Change]:
        """List the changes after a revision. Raises TooOld."""
        if revision < self._oldest:
            raise TooOld(self._oldest)
        return [change for change in self._history if change.revision > revision]

    def attach(self, watcher: Watcher) -> Callable[[], None]:
        """Have changes offered to watcher from now on; call what is returned to end it."""
        self._watchers[watcher] = None
        return lambda: self._watchers.pop(watcher, None) and None

    def tick(self, now: float, revision: int) -> None:
        """Let watchers send bookmarks, forget what lists were joined. revision: the store's."""
        self._whole.clear()
        for watcher in tuple(self._watchers):
            watcher.tick(now, revision)

    @property
    def watcher_count(self) -> int:
        """How many watch."""
        return len(self._watchers)
