"""What a value was before an update: by key in objects and maps, by the list keys in lists of type map. Pure.

Source: apiserver/pkg/cel/common/{equality,maplist}.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api.custom.node import Node
from nanokube.api.custom.problems import Path, Tolerates, steps

MISSING: Final = object()
"""Stands for a value that was not there, or cannot be told."""


def tolerates(node: Node, new: Any, old: Any) -> Tolerates:
    """Make a function that tells whether the value at a path is what it was: then it may stay wrong."""

    def is_unchanged(path: Path) -> bool:
        if path is not None and path[0] is None and path[1] in ("apiVersion", "kind"):
            return False
        here, value, before = node, new, old
        for step in steps(path):
            if type(value) is dict:
                before = of_key(before, str(step))
                below = here.child(str(step))
            else:
                before = of_item(here, before, value[step])
                below = here.items
            if before is MISSING or below is None:
                return False
            here, value = below, value[step]
        return bool(value == before)

    return is_unchanged


def forgives(node: Node, new: Any, old: Any) -> Tolerates:
    """Make a function that tells whether the value at a path is what it was, or what is around it.

    Where an item cannot be told from others, it is as it was if the whole list is.
    """

    def is_unchanged(path: Path) -> bool:
        if path is not None and path[0] is None and path[1] in ("apiVersion", "kind"):
            return False
        here, value, before = node, new, old
        for step in steps(path):
            below = here.child(str(step)) if type(value) is dict else here.items
            member = of_key(before, str(step)) if type(value) is dict else of_item(here, before, value[step])
            if member is MISSING or below is None:
                break
            here, value, before = below, value[step], member
        return bool(value == before)

    return is_unchanged


def of_key(old: Any, key: str) -> Any:
    """Return the value that an object had under a key."""
    return old.get(key, MISSING) if type(old) is dict else MISSING


def of_item(node: Node, old: Any, item: Any) -> Any:
    """Return the item of the old list that is the same by the keys of the list."""
    if type(old) is not list or node.list_type != "map" or type(item) is not dict:
        return MISSING
    wanted = _key(node, item)
    if wanted is None:
        return MISSING
    return next((each for each in old if type(each) is dict and _key(node, each) == wanted), MISSING)


def _key(node: Node, item: dict[str, Any]) -> tuple[tuple[type, Any], ...] | None:
    """Return the values of the keys; a key that is not there counts as absent."""
    return tuple((type(item.get(k)), item.get(k)) for k in node.list_keys) or None
