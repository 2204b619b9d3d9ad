"""Lists and sets in expressions. Pure.

Source: k8s.io/apiserver/pkg/cel/library/lists.go; cel-go ext/lists.go, ext/sets.go.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from nanokube.api.cel.library import quantities, versions
from nanokube.api.cel.library.opaque import NoSuchOverload, Opaque, Quantity, Semver

_INT = range(-(1 << 63), 1 << 64)


def is_sorted(items: list[Any]) -> bool:
    """`l.isSorted()`."""
    return all(_compare(a, b) <= 0 for a, b in zip(_list(items), items[1:], strict=False))


def total(items: list[Any], zero: Any = 0) -> Any:
    """`l.sum()`; zero is the sum of nothing, of the elements' type."""
    result = datetime.timedelta() if zero == "duration" else zero
    for item in _list(items):
        if _kind(item) != _kind(result):
            raise NoSuchOverload
        result += item
        if isinstance(result, int) and result not in _INT:
            raise ValueError("integer overflow")
    return result


def least(items: list[Any]) -> Any:
    """`l.min()`."""
    return _extreme(items, "min", 1)


def most(items: list[Any]) -> Any:
    """`l.max()`."""
    return _extreme(items, "max", -1)


def index_of(items: list[Any], wanted: Any) -> int:
    """`l.indexOf(x)`; strings have their own in the library."""
    return next((i for i, item in enumerate(_list(items)) if equal(item, wanted)), -1)


def last_index_of(items: list[Any], wanted: Any) -> int:
    """`l.lastIndexOf(x)`."""
    return next((i for i in range(len(_list(items)) - 1, -1, -1) if equal(items[i], wanted)), -1)


def slice_of(items: list[Any], start: int, end: int) -> list[Any]:
    """`l.slice(start, end)`."""
    if start < 0 or end < 0:
        raise ValueError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise ValueError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if len(_list(items)) < end:
        raise ValueError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def flatten(items: list[Any], depth: int = 1) -> list[Any]:
    """`l.flatten()` and `l.flatten(depth)`."""
    if depth < 0:
        raise ValueError("level must be non-negative")
    flat: list[Any] = []
    for item in _list(items):
        flat += flatten(item, depth - 1) if isinstance(item, list) and depth > 0 else [item]
    return flat


def range_to(end: int) -> list[int]:
    """`lists.range(n)`."""
    return list(range(end))


def reverse(items: list[Any]) -> list[Any]:
    """`l.reverse()`."""
    return _list(items)[::-1]


def distinct(items: list[Any]) -> list[Any]:
    """`l.distinct()`: the first of each."""
    found: list[Any] = []
    for item in _list(items):
        if not contains(found, item):
            found.append(item)
    return found


def sort(items: list[Any]) -> list[Any]:
    """`l.sort()`."""
    return sort_by(items, items)


def sort_by(items: list[Any], keys: list[Any]) -> list[Any]:
    """`l.sortBy(x, key)`, the keys computed already."""
    if len({_kind(key) for key in keys}) > 1:
        raise ValueError("list elements must have the same type")
    if any(_kind(key) not in _COMPARABLE for key in keys):
        raise ValueError("list elements must be comparable")
    order = sorted(range(len(items)), key=lambda index: keys[index])
    return [items[index] for index in order]


def contains_all(items: list[Any], wanted: list[Any]) -> bool:
    """`sets.contains(l, s)`."""
    return all(contains(items, item) for item in _list(wanted))


def equivalent(left: list[Any], right: list[Any]) -> bool:
    """`sets.equivalent(l, s)`."""
    return contains_all(left, right) and contains_all(right, left)


def intersects(left: list[Any], right: list[Any]) -> bool:
    """`sets.intersects(l, s)`."""
    return any(contains(left, item) for item in _list(right))


def map_of(entries: list[Any]) -> dict[Any, Any]:
    """Make a map of what a transformation gathered: pairs of key and value, or maps."""
    made: dict[Any, Any] = {}
    for entry in entries:
        for key, value in entry.items() if isinstance(entry, dict) else [entry]:
            if key in made:
                raise ValueError(f"insert failed: key {key} already exists")
            made[key] = value
    return made


def contains(items: Iterable[Any], wanted: Any) -> bool:
    """Tell whether an element equals `wanted`."""
    return any(equal(item, wanted) for item in items)


def equal(left: Any, right: Any) -> bool:
    """Compare as CEL does: numbers across types, but never true with 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Opaque) or isinstance(right, Opaque):
        return _equal_opaque(left, right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return bool(left == right)


def _equal_opaque(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, Quantity):
        return quantities.compare(left, right) == 0
    if isinstance(left, Semver):
        return versions.compare(left, right) == 0
    return bool(left == right)


_COMPARABLE = frozenset({"bool", "number", "str", "bytes", "timedelta", "datetime"})


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _compare(left: Any, right: Any) -> int:
    if _kind(left) != _kind(right) or _kind(left) not in _COMPARABLE:
        raise NoSuchOverload
    return int(left > right) - int(left < right)


def _extreme(items: list[Any], name: str, worse: int) -> Any:
    if not _list(items):
        raise ValueError(f"{name} called on empty list")
    result = items[0]
    for item in items[1:]:
        if _compare(result, item) == worse:
            result = item
    return result


def _list(items: list[Any]) -> list[Any]:
    if not isinstance(items, list):
        raise NoSuchOverload
    return items
