"""Lists that schemas call sets or maps: compared and added without regard to order. Pure.

A shape says where such lists are in a value, as JSON: {"s": {}} a set, {"k": [keys], "e": element} a map by
keys, {"e": element} any other list or map, {"f": {field: shape}} an object; null where there are none.
Source: k8s.io/apiserver/pkg/cel/common maplist.go, values.go.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from nanokube.api.cel.library import lists

Shape = dict[str, Any] | None


def equal(shape_text: str, left: Any, right: Any) -> bool:
    """Compare two values of a shape."""
    return _equal(_shape(shape_text), left, right)


def add(shape_text: str, left: list[Any], right: list[Any]) -> list[Any]:
    """Add lists: a set takes what is new, a map by keys replaces what has the key, in place."""
    shape = _shape(shape_text) or {}
    if "s" in shape:
        return left + [item for item in lists.distinct(right) if not lists.contains(left, item)]
    keys: list[str] = shape.get("k", [])
    merged = list(left)
    places = {_key(item, keys): index for index, item in enumerate(left)}
    for item in right:
        place = places.get(_key(item, keys))
        if place is None:
            places[_key(item, keys)] = len(merged)
            merged.append(item)
        else:
            merged[place] = item
    return merged


@functools.lru_cache(maxsize=256)
def _shape(text: str) -> Shape:
    shape: Shape = json.loads(text)
    return shape


def _equal(shape: Shape, left: Any, right: Any) -> bool:
    if not shape or type(left) is not type(right):
        return lists.equal(left, right)
    if isinstance(left, list):
        return len(left) == len(right) and _equal_lists(shape, left, right)
    if isinstance(left, dict):
        if left.keys() != right.keys():
            return False
        fields = shape.get("f")
        if fields is None:
            return all(_equal(shape.get("e"), left[key], right[key]) for key in left)
        return all(_equal(fields.get(key), left[key], right[key]) for key in left)
    return lists.equal(left, right)


def _equal_lists(shape: dict[str, Any], left: list[Any], right: list[Any]) -> bool:
    if "s" in shape:
        return lists.equivalent(left, right)
    element = shape.get("e")
    if "k" not in shape:
        return all(_equal(element, a, b) for a, b in zip(left, right, strict=True))
    others = {_key(item, shape["k"]): item for item in right}
    return all(
        (key := _key(item, shape["k"])) in others and _equal(element, item, others[key]) for item in left
    )


def _key(item: Any, keys: list[str]) -> str:
    return json.dumps([item.get(key) for key in keys] if isinstance(item, dict) else item, default=str)
