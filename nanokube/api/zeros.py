"""What Go writes into JSON though nobody set it: structs that are fields by value, and some scalars. Pure.

Go leaves out an empty string, list or map where its field says `omitempty`, but never an empty struct:
`status: {}`, `strategy: {}`, `resources: {}`, nor a number without it: `numberReady: 0`, which typed clients
demand. `data/zeros.json`, written by `scripts/generate-protobuf` from struct tags, has the lists:
definition -> [fields whose zero is left out, structs always written, other fields always written, scalars
always written].
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from nanokube.api import facts

_Step = tuple[str, str, str, bool]


def fill(name: str, obj: dict[str, Any]) -> None:
    """Write the empty structs and the zeros of an object of the named definition, in place."""
    for key, zero in _scalars(name):
        if obj.get(key) is None:
            obj[key] = zero
    for key, code, inner, is_written in _plan(name):
        value = obj.get(key)
        if value is None:
            if not is_written:
                continue
            value = obj[key] = {}
        if code == "@":
            fill(inner, value)
        else:
            for each in value if code == "a" else value.values():
                fill(inner, each)


@cache
def _plan(name: str) -> tuple[_Step, ...]:
    """Return the fields that are or contain structs to write: key, code, definition, is it one."""
    return tuple(
        (key, code, inner, is_written)
        for key, code, inner, is_written in _struct_fields(name)
        if is_written or _matters(inner)
    )


@cache
def _scalars(name: str) -> tuple[tuple[str, Any], ...]:
    """Return the scalars that are always written, with their zeros."""
    fields = facts.definition(name).fields.items()
    return tuple((key, field.zero) for key, field in fields if field.zero is not None)


@cache
def _matters(name: str) -> bool:
    """Tell whether anything below a definition is to be written."""
    seen, todo = {name}, [name]
    while todo:
        owner = todo.pop()
        if _scalars(owner):
            return True
        for _, _, inner, is_written in _struct_fields(owner):
            if is_written:
                return True
            if inner not in seen:
                seen.add(inner)
                todo.append(inner)
    return False


def _struct_fields(name: str) -> Iterator[_Step]:
    for key, field in facts.definition(name).fields.items():
        if field.type.code == "@":
            yield key, "@", field.type.name, field.is_written
        elif field.type.item is not None and field.type.item.code == "@":
            yield key, field.type.code, field.type.item.name, False
