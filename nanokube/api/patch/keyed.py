"""What keyed lists of an applied configuration may not have: two items of one key, or one without. Pure.

Source: sigs.k8s.io/structured-merge-diff, typed/{validate,helpers}.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from nanokube.api import facts
from nanokube.api.patch import fieldsets

# Optional, and yet "" by default: upstream marks it so, that items without it remain possible.
_NAMED_BY_DEFAULT: Final = "io.k8s.api.core.v1.LocalObjectReference"


def problems(definition: facts.Definition, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong, each with its path, of a configuration whose values have the right types."""
    return _of_members(definition.type, config, "")


def _of_members(type_: facts.Type, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for key in sorted(value):
        field = fieldsets.child_field(type_, key)
        if field is not None and type(value[key]) in (dict, list):
            yield from _of_field(field, value[key], f"{path}.{key}")


def _of_field(field: facts.Field, value: Any, path: str) -> Iterator[str]:
    if type(value) is dict:
        yield from _of_members(field.type, value, path)
    elif type(value) is list and field.list_type in ("map", "set"):
        yield from _of_items(field, value, path)
    elif type(value) is list and field.type.item is not None:
        for index, item in enumerate(value):
            yield from _of_field(facts.Field(field.type.item), item, f"{path}[{index}]")


def _of_items(field: facts.Field, items: list[Any], path: str) -> Iterator[str]:
    seen = set[str]()
    what = "associative list with keys"
    for index, item in enumerate(items):
        if item is None:
            null = (
                f"{what} may not have a null element" if field.list_type == "map" else "set has null element"
            )
            yield f"{path}: element {index}: {null}"
            continue
        if field.list_type == "map" and not any(k in item or _has_default(field, k) for k in field.list_keys):
            keys = orjson.dumps(list(field.list_keys)).decode()
            detail = "omits all key fields"
            yield (
                f"{path}: element {index}: {what} has an element that {detail} {keys} "
                "(and doesn't have default values for any key fields)"
            )
            continue
        key = fieldsets.item_key(field, item)
        if key is None:
            continue
        shown = fieldsets.print_path((key,))
        if key in seen:
            yield f"{path}: duplicate entries for key {shown}"
        seen.add(key)
        if type(item) is dict and field.type.item is not None:
            yield from _of_members(field.type.item, item, f"{path}{shown}")


def _has_default(field: facts.Field, key: str) -> bool:
    """Tell whether an item without a key has one all the same: in Go, "" where it is required."""
    item = field.type.item
    if item is None or item.code != "@":
        return True
    known = facts.struct_of(item).fields.get(key)
    if known is None or known.default is not None:
        return True
    is_custom = item.struct is not None
    return item.name == _NAMED_BY_DEFAULT or not (is_custom or known.drops_zero)
