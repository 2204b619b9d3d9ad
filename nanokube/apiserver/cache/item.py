"""One stored object as the API serves it: bytes, with what selectors need read out lazily. Pure.

Objects are stored without resourceVersion (the store assigns it afterwards); it is spliced in once, behind
the `"metadata":{`, when the write enters the cache. `encode` therefore writes kind, apiVersion and metadata
first, so that the first `"metadata":{` of the bytes is the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

_MARK: Final = b'"metadata":{'
_REVISION: Final = b'"resourceVersion":"'


def encode(obj: Mapping[str, Any], spec: bytes | None = None) -> bytes:
    """Encode an object for the store: metadata in front, without resourceVersion. spec: if encoded before."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    found = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": metadata, **obj}
    found["metadata"] = metadata
    if spec is not None:
        found["spec"] = orjson.Fragment(spec)
    return orjson.dumps(found)


def splice(stored: bytes, revision: int) -> bytes:
    """Put the resourceVersion into stored bytes."""
    at = stored.index(_MARK) + len(_MARK)
    return b'%b"resourceVersion":"%d",%b' % (stored[:at], revision, stored[at:])


def respliced(raw: bytes, revision: int) -> bytes:
    """Replace the resourceVersion that splice put in."""
    at = raw.index(_MARK) + len(_MARK) + len(_REVISION)
    return b"%b%d%b" % (raw[:at], revision, raw[raw.index(b'"', at) :])


class Item:
    """An object at one revision. key: "namespace/name", or "name" if cluster-scoped."""

    __slots__ = (
        "_fields",
        "_labels",
        "_view",
        "create_revision",
        "key",
        "namespace",
        "raw",
        "revision",
        "shown",
        "written",
    )

    def __init__(self, key: str, raw: bytes, revision: int, create_revision: int) -> None:
        self.key = key
        self.namespace = key.partition("/")[0] if "/" in key else ""
        self.raw = raw
        self.revision = revision
        self.create_revision = create_revision
        self.written = revision  # when these bytes were written: a deletion only changes the revision
        self.shown: dict[tuple[int, str], Item] | None = None  # custom resources in other versions
        self._labels: Mapping[str, str] | None = None
        self._fields: Mapping[str, str] | None = None
        self._view: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.key.rpartition("/")[2]

    def object(self) -> dict[str, Any]:
        """Decode; the caller owns the result."""
        found: dict[str, Any] = orjson.loads(self.raw)
        return found

    def view(self) -> Mapping[str, Any]:
        """Decode once, for all who only read: for what is few and asked for by every write."""
        if self._view is None:
            self._view = self.object()
        return self._view

    def at(self, revision: int) -> Item:
        """Copy it with another resourceVersion: the last state of an object deleted at that revision."""
        copy = Item(self.key, respliced(self.raw, revision), revision, self.create_revision)
        copy._labels, copy._fields, copy.written = self._labels, self._fields, self.written
        return copy

    def labels(self) -> Mapping[str, str]:
        """metadata.labels."""
        if self._labels is None:
            self._labels = self.object()["metadata"].get("labels") or {}
        return self._labels

    def fields(self, read: Callable[[Mapping[str, Any]], Mapping[str, str]]) -> Mapping[str, str]:
        """Field labels, as read(object) gives them; read is the same for all items of a cache."""
        if self._fields is None:
            obj = self.object()
            self._fields = read(obj)
            if self._labels is None:
                self._labels = obj["metadata"].get("labels") or {}
        return self._fields
