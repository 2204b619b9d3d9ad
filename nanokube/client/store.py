"""An indexed cache of objects by key: what an informer fills and everyone reads. Pure, one task writes."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from nanokube.api import objects
from nanokube.api.objects import Object

# Names for what `list` cannot spell inside a class that has a method of that name.
Objects: TypeAlias = list[dict[str, Any]]
Keys: TypeAlias = list[str]
IndexFunction: TypeAlias = Callable[[Object], Iterable[str]]


class Store:
    """Objects by key and by index values. What it hands out is shared: read it, never change it."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Any]] = {}
        self._functions: dict[str, IndexFunction] = {}
        self._indexes: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: object) -> bool:
        return key in self._objects

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep objects findable by the values function gives for each; the same name twice is one index."""
        if name in self._functions:
            return
        self._functions[name] = function
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._index(name, key, None, obj)

    def get(self, key: str) -> dict[str, Any] | None:
        """Look up by "namespace/name" or "name"."""
        return self._objects.get(key)

    def list(self, namespace: str = "") -> Objects:
        """Give all objects, or those of one namespace."""
        if not namespace:
            return list(self._objects.values())
        return [obj for obj in self._objects.values() if obj["metadata"].get("namespace") == namespace]

    def keys(self) -> Keys:
        """Give the keys of all objects."""
        return list(self._objects)

    def by_index(self, name: str, value: str) -> Objects:
        """Give the objects whose index name holds value. Raises KeyError for an index never added."""
        return list(self._indexes[name].get(value, {}).values())

    def put(self, obj: dict[str, Any]) -> dict[str, Any] | None:
        """Insert or replace; give what was there before."""
        key = objects.key(obj)
        old = self._objects.get(key)
        self._objects[key] = obj
        for name in self._functions:
            self._index(name, key, old, obj)
        return old

    def remove(self, key: str) -> dict[str, Any] | None:
        """Take out; give what was there, or None."""
        old = self._objects.pop(key, None)
        if old is not None:
            for name in self._functions:
                self._index(name, key, old, None)
        return old

    def _index(self, name: str, key: str, old: Object | None, new: dict[str, Any] | None) -> None:
        function, index = self._functions[name], self._indexes[name]
        before = set(function(old)) if old is not None else set()
        after = set(function(new)) if new is not None else set()
        for value in before - after:
            entries = index[value]
            entries.pop(key, None)
            if not entries:
                del index[value]
        if new is not None:
            for value in after:
                index.setdefault(value, {})[key] = new


def by_namespace(obj: Object) -> Iterable[str]:
    """Index function: the namespace."""
    namespace = obj["metadata"].get("namespace")
    return (namespace,) if namespace else ()


def by_controller(obj: Object) -> Iterable[str]:
    """Index function: the UID of the controlling owner; "" for an object that has none."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return (owner["uid"],)
    return ("",)


def by_node(obj: Object) -> Iterable[str]:
    """Index function for Pods: spec.nodeName; "" while unassigned."""
    return (obj["spec"].get("nodeName", ""),)
