"""Lists of type set and map have no item twice. Pure.

Source: apiextensions-apiserver/pkg/apiserver/schema/listtype/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from nanokube.api import field
from nanokube.api.custom.node import Node
from nanokube.api.custom.problems import at
from nanokube.api.field import FieldError


def has_unique_lists(node: Node) -> bool:
    """Tell whether a schema has lists of type set or map anywhere."""
    return node.list_type != "atomic" or any(has_unique_lists(child) for _, child in node.children())


def validate(node: Node, value: Any, path: str = "") -> list[FieldError]:
    """Check the lists in a value."""
    found: list[FieldError] = []
    if type(value) is dict:
        for key, member in value.items():
            if type(member) is dict or type(member) is list:
                child = node.child(key)
                found += validate(child, member, at(node, path, key)) if child is not None else ()
    elif type(value) is list:
        if node.list_type == "set":
            found += (field.duplicate(f"{path}[{i}]", value[i]) for i in _repeated(value))
        elif node.list_type == "map":
            found += _validate_map(node, value, path)
        if node.items is not None:
            for index, item in enumerate(value):
                found += validate(node.items, item, f"{path}[{index}]")
    return found


def _validate_map(node: Node, items: list[Any], path: str) -> list[FieldError]:
    for index, item in enumerate(items):
        if item is not None and type(item) is not dict:
            detail = "must be an object for an array of list-type map"
            return [field.invalid(f"{path}[{index}]", item, detail)]
    keys = [{k: item[k] for k in node.list_keys if k in item} if item else {} for item in items]
    return [field.duplicate(f"{path}[{i}]", keys[i]) for i in _repeated(keys)]


def _repeated(items: Sequence[Any]) -> Iterable[int]:
    """Yield the index of each value's second appearance."""
    if len(items) <= 1:
        return
    seen: dict[Any, int] = {}
    for index, item in enumerate(items):
        key = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
        count = seen[key] = seen.get(key, 0) + 1
        if count == 2:
            yield index
