"""One kind of record: an index in memory over write-ahead files. Thread-safe.

A record enters as an intent: its name is reserved and its files exist before anything is
done to the host, so that a crash leaves a trace to undo by. It becomes visible when its
state leaves INTENT (the commit).
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from cri import failpoint, faults
from cri.store import files


class Record(Protocol):
    """What a table needs of a record."""

    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Record)


class Codec(Protocol[R]):
    """How a table reads and writes its records."""

    kind: str

    def config(self, record: R) -> bytes: ...
    def state(self, record: R) -> bytes: ...
    def decode(self, config: bytes, state: bytes) -> R: ...
    def is_intent(self, record: R) -> bool: ...


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[R]):
    is_reached: Callable[[R | None], bool]
    callback: Callable[[], None]


class Table(Generic[R]):
    """Records of one kind by id."""

    def __init__(self, root: Path, codec: Codec[R]) -> None:
        self._root = root
        self._codec = codec
        self._records: dict[str, R] = {}
        self._names: dict[str, str] = {}
        self._changed = threading.Condition()
        self._locks: dict[str, threading.RLock] = {}
        self._waiting: dict[str, list[_Waiting[R]]] = {}

    def directory(self, identity: str) -> Path:
        """Return the directory of one record; other files of the same object may live there."""
        return self._root / identity

    def reserve(self, record: R, name: str) -> None:
        """Write an intent. Raises RuntimeFault ALREADY_EXISTS while the name is taken."""
        with self._changed:
            holder = self._names.get(name)
            if holder is not None:
                raise faults.RuntimeFault(
                    faults.Kind.ALREADY_EXISTS,
                    f"cannot reserve {self._codec.kind} name {name!r}: reserved for {holder!r}",
                )
            self._names[name] = record.id
            self._records[record.id] = record
        files.create(self.directory(record.id), self._codec.config(record), self._codec.state(record))

    def update(self, identity: str, change: Callable[[R], R]) -> R:
        """Replace a record by change(record), on disk first. Raises RuntimeFault NOT_FOUND."""
        with self._changed:
            old = self._records.get(identity)
            if old is None:
                raise faults.not_found(self._codec.kind, identity)
            new = change(old)
            if new is not old:
                files.replace(self.directory(identity) / files.STATE, self._codec.state(new))
                self._records[identity] = new
                self._changed.notify_all()
        self._tell(identity)
        return new

    def replace_config(self, record: R) -> R:
        """Rewrite a record whose config changed as a whole (rare: resources of a sandbox)."""
        with self._changed:
            files.create(self.directory(record.id), self._codec.config(record), self._codec.state(record))
            self._records[record.id] = record
            self._changed.notify_all()
            return record

    def delete(self, identity: str) -> None:
        """Forget a record and free its name; an unknown id is no error."""
        with self._changed:
            self._records.pop(identity, None)
            self._names = {name: holder for name, holder in self._names.items() if holder != identity}
            self._locks.pop(identity, None)
            self._changed.notify_all()
        failpoint.hit("record.forgotten")
        files.delete(self.directory(identity))
        self._tell(identity)

    def find(self, identity: str) -> R | None:
        """Return the committed record with this id or unambiguous id prefix, else None.

        Raises RuntimeFault INVALID_ARGUMENT for an ambiguous prefix, and for none at all.
        """
        if not identity:
            raise faults.invalid(f"cannot find {self._codec.kind}: no id given")
        with self._changed:
            record = self._records.get(identity)
            if record is None:
                matches = [key for key in self._records if key.startswith(identity)]
                if len(matches) > 1:
                    raise faults.invalid(
                        f"cannot resolve {self._codec.kind} id prefix {identity!r}: ambiguous"
                    )
                record = self._records[matches[0]] if matches else None
        return None if record is None or self._codec.is_intent(record) else record

    def get(self, identity: str) -> R:
        """Return the committed record with this id or id prefix. Raises RuntimeFault."""
        record = self.find(identity)
        if record is None:
            raise faults.not_found(self._codec.kind, identity)
        return record

    def holds(self, identity: str) -> bool:
        """Tell whether there is a record with exactly this id, committed or not."""
        with self._changed:
            return identity in self._records

    def named(self, name: str) -> R | None:
        """Return the record that a name is reserved for, committed or not."""
        with self._changed:
            return self._records.get(self._names.get(name, ""))

    def is_intent(self, record: R) -> bool:
        """Tell whether a record has no commit."""
        return self._codec.is_intent(record)

    def all(self) -> list[R]:
        """Return the committed records, in order of creation."""
        with self._changed:
            return [record for record in self._records.values() if not self._codec.is_intent(record)]

    def intents(self) -> list[R]:
        """Return the records without a commit."""
        with self._changed:
            return [record for record in self._records.values() if self._codec.is_intent(record)]

    def wait(self, identity: str, is_reached: Callable[[R | None], bool], timeout_s: float | None) -> bool:
        """Block until is_reached(record, None once deleted) holds; return False on timeout."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not is_reached(self._records.get(identity)):
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def when(
        self, identity: str, is_reached: Callable[[R | None], bool], callback: Callable[[], None]
    ) -> Callable[[], None]:
        """Call back once is_reached(record, None once deleted) holds; return what forgets it.

        The callback comes from the thread that changed the record, or before this returns; it must not block.
        """
        entry: _Waiting[R] = _Waiting(is_reached, callback)
        with self._changed:
            self._waiting.setdefault(identity, []).append(entry)

        def forget() -> None:
            with self._changed:
                entries = self._waiting.get(identity, [])
                if entry in entries:
                    entries.remove(entry)
                if not entries:
                    self._waiting.pop(identity, None)

        self._tell(identity)
        return forget

    def _tell(self, identity: str) -> None:
        """Call back those whose condition has come."""
        with self._changed:
            record = self._records.get(identity)
            due = [entry for entry in self._waiting.get(identity, ()) if entry.is_reached(record)]
            if due:
                rest = [entry for entry in self._waiting[identity] if entry not in due]
                self._waiting[identity] = rest
                if not rest:
                    del self._waiting[identity]
        for entry in due:
            entry.callback()

    @contextmanager
    def lock(self, identity: str) -> Iterator[None]:
        """Hold the lock that serializes the operations on one object (its record needs no lock)."""
        with self._changed:
            lock = self._locks.setdefault(identity, threading.RLock())
        try:
            with lock:
                yield
        finally:
            with self._changed:
                if identity not in self._records:
                    self._locks.pop(identity, None)

    def load(self, name_of: Callable[[R], str]) -> list[Path]:
        """Read every record from disk; return the directories that hold none that can be read."""
        broken: list[Path] = []
        found: list[R] = []
        for directory in files.directories(self._root):
            try:
                found.append(self._codec.decode(*files.read(directory)))
            except (OSError, ValueError):
                broken.append(directory)
        found.sort(key=lambda record: getattr(record, "created_at", 0))
        with self._changed:
            self._records = {record.id: record for record in found}
            self._names = {name_of(record): record.id for record in found}
        return broken
