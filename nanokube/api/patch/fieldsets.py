"""Sets of field paths as `fieldsV1` trees: make, unite, subtract, intersect. Pure.

A tree maps "f:<field>", "k:<keys as JSON>", "v:<value as JSON>" to subtrees; "." marks an owned item or
struct.
Source: sigs.k8s.io/structured-merge-diff, fieldpath.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import orjson

from nanokube.api import facts

FieldSet: TypeAlias = dict[str, Any]
_ALONE: Final[FieldSet] = {".": {}}
_BRANCHES: Final = frozenset((dict, list))


def child_field(type_: facts.Type | None, key: str) -> facts.Field | None:
    """Return the field of a struct or map, None below what the schema does not describe."""
    if type_ is None:
        return None
    if type_.code == "@":
        return facts.struct_of(type_).fields.get(key)
    return facts.Field(type_.item) if type_.code == "m" and type_.item else None


def is_atomic(field: facts.Field | None) -> bool:
    """Tell whether a map or struct field is owned as a whole."""
    if field is None or field.is_atomic or field.type.code in facts.UNTYPED:
        return True
    return field.type.code == "@" and not field.is_granular and facts.struct_of(field.type).is_atomic


def has_atomic_items(field: facts.Field) -> bool:
    """Tell whether each item of a map-like list is owned as a whole: an OwnerReference, for instance."""
    item = field.type.item
    return item is not None and item.code == "@" and facts.struct_of(item).is_atomic


def item_key(field: facts.Field, item: Any) -> str | None:
    """Return the path element of an item of a map- or set-like list; None if the list is atomic."""
    if field.list_type == "set":
        return "v:" + orjson.dumps(item).decode()
    if field.list_type != "map" or type(item) is not dict or field.type.item is None:
        return None
    if len(field.list_keys) == 1:
        name = field.list_keys[0]
        return f'k:{{"{name}":{_dumps(item.get(name))}}}'
    known = facts.struct_of(field.type.item).fields
    found = {k: item.get(k, known[k].default) for k in sorted(field.list_keys)}
    return "k:" + orjson.dumps({k: v for k, v in found.items() if v is not None}).decode()


@lru_cache(maxsize=4096)
def _dumps(value: str | int | bool | None) -> str:
    return orjson.dumps(value).decode()


def in_order(fields: FieldSet) -> FieldSet:
    """Return the set with its elements sorted, as it is stored: clients compare the bytes."""
    found: FieldSet = orjson.loads(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS))
    return found


def of(type_: facts.Type | None, value: Mapping[str, Any]) -> FieldSet:
    """Return the set of all fields of an object."""
    found: FieldSet = {}
    is_map = type_ is not None and type_.code == "m"
    for key, each in value.items():
        field = child_field(type_, key)
        if each == [] and field is not None and field.list_type in ("map", "set"):
            continue  # whose items are owned
        below = of_field(field, each)
        if below or type(each) is not dict or not each or is_atomic(field):
            # an entry of a map is owned besides what is in it, which a field of a struct is not
            found[f"f:{key}"] = {".": {}, **below} if is_map and below and type(each) is dict else below
    return found


def of_field(field: facts.Field | None, value: Any) -> FieldSet:
    """Return the set below one field."""
    if type(value) is dict:
        if not value or is_atomic(field):
            return {}
        assert field is not None
        return of(field.type, value)
    if type(value) is list and field is not None and field.list_type in ("map", "set"):
        found: FieldSet = {}
        has_parts = not has_atomic_items(field)
        for item in value:
            key = item_key(field, item)
            if key is not None:
                is_struct = has_parts and key[0] == "k"
                found[key] = {".": {}, **of(field.type.item, item)} if is_struct else {}
        return found
    return {}


def added(field: facts.Field | None, value: Any) -> FieldSet:
    """Return the set below a field that was not there; structs, maps and lists in it count too."""
    if not value or field is None:
        return {}
    kind = type(value)
    if kind is dict:
        return {} if is_atomic(field) else _added_members(field.type, value)
    if kind is list and field.list_type != "atomic":
        items = {key: _added_item(field, i) for i in value if (key := item_key(field, i)) is not None}
        return {".": {}, **items}
    return {}


def _added_item(field: facts.Field, item: Any) -> FieldSet:
    if type(item) is not dict or field.type.item is None or has_atomic_items(field):
        return {}
    return _added_members(field.type.item, item)


def _added_members(type_: facts.Type, value: Mapping[str, Any]) -> FieldSet:
    """Most members are scalars, which own nothing below: asking for their field is left out, for speed."""
    found: FieldSet = {".": {}}
    for key, member in value.items():
        is_leaf = type(member) not in _BRANCHES
        found[f"f:{key}"] = {} if is_leaf else added(child_field(type_, key), member)
    return found


def changed(type_: facts.Type | None, old: Mapping[str, Any], new: Mapping[str, Any]) -> FieldSet:
    """Return the set of the fields of `new` whose value is not that of `old`."""
    found: FieldSet = {}
    for key, value in new.items():
        before = old.get(key)
        if value == before and key in old:
            continue
        field = child_field(type_, key)
        if before is None and field is not None:
            before = _present(field, value)
        below = _changed_field(field, before, value) if before != value else None
        if below is not None:
            found[f"f:{key}"] = below
    return found


def _present(field: facts.Field, value: Any) -> Any:
    """Return what Go has on the other side, where nobody set a field."""
    if not field.is_present:
        return field.zero
    return None if value is None else [] if type(value) is list else {}


def _changed_field(field: facts.Field | None, before: Any, value: Any) -> FieldSet | None:
    """Return the set below one field; None if the values differ only by what `before` has in addition."""
    if type(value) is dict and type(before) is dict and field is not None and not is_atomic(field):
        return changed(field.type, before, value) or None
    is_keyed = field is not None and field.list_type in ("map", "set")
    if type(value) is not list or type(before) is not list or not is_keyed:
        return added(field, value) if before is None else of_field(field, value)
    assert field is not None
    old_items = {item_key(field, i): i for i in before}
    found: FieldSet = {}
    for item in value:
        key = item_key(field, item)
        if key is None or (key in old_items and old_items[key] == item):
            continue
        if key in old_items and key[0] == "k" and not has_atomic_items(field):
            below = changed(field.type.item, old_items[key], item)
            if below:
                found[key] = below
        else:
            found[key] = _added_item(field, item)
    return found or None


def nulls(type_: facts.Type | None, old: Mapping[str, Any], new: Mapping[str, Any]) -> FieldSet:
    """Return the set of the fields that are null in `new`, not there in `old`, and that Go has in neither."""
    found: FieldSet = {}
    for key, value in new.items():
        if value is not None and type(value) not in _BRANCHES:
            continue
        field, before = child_field(type_, key), old.get(key)
        below: FieldSet = {}
        if value is None:
            if before is None and field is not None and not field.is_present:
                found[f"f:{key}"] = {}
        elif type(value) is dict and type(before) is dict and field is not None and not is_atomic(field):
            below = nulls(field.type, before, value)
        elif type(value) is list and type(before) is list and field is not None:
            known = {item_key(field, i): i for i in before} if field.list_type == "map" else {}
            for item in value if known else ():
                path = item_key(field, item)
                if path in known and path is not None and (each := nulls(field.type.item, known[path], item)):
                    below[path] = each
        if below:
            found[f"f:{key}"] = below
    return found


def removed(type_: facts.Type | None, old: Mapping[str, Any], new: Mapping[str, Any]) -> FieldSet:
    """Return the set of the fields of `old` that `new` does not have."""
    found: FieldSet = {}
    for key, before in old.items():
        if key not in new:
            found[f"f:{key}"] = added(child_field(type_, key), before)
        elif before != new[key] and type(before) in (dict, list):
            below = _removed_below(child_field(type_, key), before, new[key])
            if below:
                found[f"f:{key}"] = below
    return found


def _removed_below(field: facts.Field | None, before: Any, value: Any) -> FieldSet:
    if field is None or type(before) is not type(value):
        return {}
    if type(before) is dict:
        return {} if is_atomic(field) else removed(field.type, before, value)
    if field.list_type not in ("map", "set"):
        return {}
    kept = {item_key(field, i): i for i in value}
    found: FieldSet = {}
    for item in before:
        key = item_key(field, item)
        if key is None:
            continue
        if key not in kept:
            found[key] = _added_item(field, item)
        elif key[0] == "k" and item != kept[key] and not has_atomic_items(field):
            below = removed(field.type.item, item, kept[key])
            if below:
                found[key] = below
    return found


def compared(
    type_: facts.Type | None, old: Mapping[str, Any], new: Mapping[str, Any]
) -> tuple[FieldSet, FieldSet]:
    """Return what `changed` and `removed` return, in one walk."""
    mine: FieldSet = {}
    gone: FieldSet = {}
    for key, value in new.items():
        before = old.get(key)
        if value == before and (value is not None or key in old):
            continue
        below, lost = _compared_field(child_field(type_, key), before, value)
        if below is not None:
            mine[f"f:{key}"] = below
        if lost:
            gone[f"f:{key}"] = lost
    if not old.keys() <= new.keys():
        for key, before in old.items():
            if key not in new:
                gone[f"f:{key}"] = added(child_field(type_, key), before)
    return mine, gone


def _compared_field(field: facts.Field | None, before: Any, value: Any) -> tuple[FieldSet | None, FieldSet]:
    """Return the sets below one field whose values differ; None as `_changed_field` does."""
    kind = type(value)
    if before is None and field is not None:
        before = _present(field, value)
    if before == value:
        return None, {}
    if value is None and type(before) is list and field is not None and field.list_type != "atomic":
        return None, added(field, before)
    if field is None or kind not in _BRANCHES or type(before) is not kind:
        return _changed_field(field, before, value), {}
    if kind is dict:
        if is_atomic(field):
            return {}, {}
        mine, gone = compared(field.type, before, value)
        return mine or None, gone
    if field.list_type not in ("map", "set"):
        return {}, {}
    was, has = {item_key(field, i): i for i in before}, {item_key(field, i): i for i in value}
    if len(was) != len(before) or len(has) != len(value) or None in was or None in has:
        return _changed_field(field, before, value), _removed_below(field, before, value)
    return _compared_items(field, was, has)


def _compared_items(
    field: facts.Field, was: Mapping[str | None, Any], has: Mapping[str | None, Any]
) -> tuple[FieldSet | None, FieldSet]:
    """Compare the items of a keyed list, by their path elements."""
    mine: FieldSet = {}
    gone: FieldSet = {str(key): _added_item(field, item) for key, item in was.items() if key not in has}
    for path, item in has.items():
        key = str(path)
        if path not in was:
            mine[key] = _added_item(field, item)
        elif item != was[path] and has_atomic_items(field):
            mine[key] = {}
        elif item != was[path]:
            below, lost = compared(field.type.item, was[path], item)
            if below:
                mine[key] = below
            if lost:
                gone[key] = lost
    return mine or None, gone


def union(a: FieldSet, b: FieldSet) -> FieldSet:
    """Return the paths of either set."""
    found = dict(a)
    for key, below in b.items():
        found[key] = union(found[key], below) if key in found else below
    return found


def subtract(a: FieldSet, b: FieldSet) -> FieldSet:
    """Return the paths of `a` that are not in `b`; a path that has only removed ones below it goes too."""
    found: FieldSet = {}
    for key, below in a.items():
        if key not in b:
            found[key] = below
        elif below:
            rest = subtract(below, b[key])
            if rest:
                found[key] = rest
    return found


def collapsed(tree: FieldSet) -> FieldSet:
    """Write paths below which nothing is left as such: "f:spec": {} rather than "f:spec": {".": {}}."""
    return {key: {} if below == _ALONE else collapsed(below) for key, below in tree.items()}


def leaves(tree: FieldSet, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of a set, "." standing for its parent."""
    for key, below in tree.items():
        if below:
            yield from leaves(below, (*path, key))
        else:
            yield path if key == "." else (*path, key)


def contains(tree: FieldSet, path: tuple[str, ...]) -> bool:
    """Tell whether a path is a member or has members below it."""
    for key in path:
        if key not in tree:
            return False
        tree = tree[key]
    return True


def print_path(path: tuple[str, ...]) -> str:
    """Print a path as conflicts show it: `.spec.containers[name="a"].image`."""
    text = ""
    for element in path:
        kind, rest = element[0], element[2:]
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            keys = orjson.loads(rest)
            text += "[" + ",".join(f"{k}={orjson.dumps(v).decode()}" for k, v in keys.items()) + "]"
        else:
            text += f"[={rest}]"
    return text
