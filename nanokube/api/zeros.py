"""What Go writes into JSON though nobody set it: structs that are fields by value, some scalars, null. Pure.

Go leaves out an empty string, list or map where its field says `omitempty`, but never an empty struct:
`status: {}`, `strategy: {}`, `resources: {}`, nor a number without it: `numberReady: 0`, which typed clients
demand; and null for a list or a map that is nil in such a field (`rules: null`), which an empty one becomes
when it is stored, and for a time. `data/zeros.json`, written by `scripts/generate-protobuf` from struct tags,
has the lists:
definition -> [fields whose zero is left out, structs always written, other fields always written, scalars
always written, fields that may be null].
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from nanokube.api import facts

_Step = tuple[str, str, str, bool]
_STORED_AS_JSON: Final = "io.k8s.apiextensions-apiserver."


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


def fill_nulls(name: str, obj: dict[str, Any]) -> None:
    """Write null for the lists, maps and times of an object that nobody set, in place: after its defaults."""
    for key, drops_empty in _nullable(name):
        value = obj.get(key)
        if value is None or (drops_empty and not value):
            obj[key] = None
    for key, code, inner, _ in _null_plan(name):
        value = obj.get(key)
        if value is None:
            continue
        if code == "@":
            fill_nulls(inner, value)
        else:
            for each in value if code == "a" else value.values():
                fill_nulls(inner, each)


@cache
def _null_plan(name: str) -> tuple[_Step, ...]:
    """Return the fields that contain, somewhere, what may be null."""
    return tuple(step for step in _struct_fields(name) if any(map(_nullable, _within(step[2]))))


@cache
def _nullable(name: str) -> tuple[tuple[str, bool], ...]:
    """Return the fields that may be null, and whether an empty value becomes so.

    It does in protobuf, in which all kinds but those of extensions are stored upstream.
    """
    is_protobuf = not name.startswith(_STORED_AS_JSON)
    fields = facts.definition(name).fields.items()
    return tuple((key, is_protobuf and field.type.code in "am") for key, field in fields if field.is_nullable)


def _within(name: str) -> set[str]:
    """Return the definitions at and below one."""
    seen, todo = {name}, [name]
    while todo:
        for _, _, inner, _ in _struct_fields(todo.pop()):
            if inner not in seen:
                seen.add(inner)
                todo.append(inner)
    return seen


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
    return any(_scalars(each) or any(step[3] for step in _struct_fields(each)) for each in _within(name))


def _struct_fields(name: str) -> Iterator[_Step]:
    for key, field in facts.definition(name).fields.items():
        if field.type.code == "@":
            yield key, "@", field.type.name, field.is_written
        elif field.type.item is not None and field.type.item.code == "@":
            yield key, field.type.code, field.type.item.name, False
