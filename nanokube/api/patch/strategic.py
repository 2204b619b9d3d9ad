"""Strategic merge patch: merge keys and strategies come from the schema, directives from the patch. Pure.

Directives: `$patch: replace|delete|merge`, `$retainKeys`, `$setElementOrder/<list>`,
`$deleteFromPrimitiveList/<list>`.
Source: staging/src/k8s.io/apimachinery/pkg/util/strategicpatch/patch.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import errors, facts, unstructured, walk
from nanokube.api.errors import ApiError

_PATCH: Final = "$patch"
_RETAIN_KEYS: Final = "$retainKeys"
_ORDER: Final = "$setElementOrder/"
_DELETE: Final = "$deleteFromPrimitiveList/"
_ANYTHING: Final = facts.Field(facts.Type(facts.ANY))


def apply(definition: facts.Definition, target: dict[str, Any], patch: Any) -> dict[str, Any]:
    """Return the target with the patch merged in; null changes nothing.

    Raises ApiError (400) for a malformed patch.
    """
    if patch is None:
        return target
    if type(patch) is not dict:
        raise errors.bad_request(not_an_object(patch))
    return _merge_struct(facts.Type("@", name=definition.name), target, patch)


def not_an_object(patch: Any) -> str:
    """Say, as Go's decoder, that a patch is no object."""
    return f"json: cannot unmarshal {walk.json_name(patch)} into Go value of type map[string]interface {{}}"


def _merge_struct(type_: facts.Type, target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Merge two objects of a struct, map or unknown type."""
    if _PATCH in patch:
        directive = patch[_PATCH]
        if directive == "replace":
            return {k: v for k, v in patch.items() if k != _PATCH}
        if directive == "delete":
            return {}
        if directive not in (None, "merge"):
            raise errors.bad_request(f"unknown patch type: {directive} in map: {unstructured.shown(patch)}")
    found = _retain(target, patch) if _RETAIN_KEYS in patch else dict(target)
    has_directives = False
    fields = facts.definition(type_.name).fields if type_.code == "@" else None
    for key, value in patch.items():
        if key[:1] == "$" and (key in (_PATCH, _RETAIN_KEYS) or key.startswith((_ORDER, _DELETE))):
            has_directives = True
            continue
        if value is None:
            found.pop(key, None)
        elif type(value) is not dict and type(value) is not list:
            found[key] = value
        else:
            field = _field(type_, key) if fields is None else fields.get(key, _ANYTHING)
            found[key] = _merge_field(field, key, found.get(key), value, patch)
    if has_directives:
        _orphan_directives(type_, found, patch)
    return found


def _retain(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    retained = patch.get(_RETAIN_KEYS)
    if retained is None:
        return dict(target)
    named = [key for key, value in patch.items() if value is not None and key[:1] != "$"]
    if type(retained) is not list or not all(key in retained for key in named):
        raise errors.bad_request("invalid patch format of retainKeys")
    return {k: v for k, v in target.items() if k in retained}


def _field(type_: facts.Type, key: str) -> facts.Field:
    if type_.code == "@":
        return facts.definition(type_.name).fields.get(key, _ANYTHING)
    return facts.Field(type_.item) if type_.code == "m" and type_.item else _ANYTHING


def _merge_field(field: facts.Field, key: str, before: Any, value: Any, patch: dict[str, Any]) -> Any:
    if type(value) is dict:
        is_mergeable = type(before) is dict and "replace" not in field.patch_strategies
        return _merge_struct(field.type, before if is_mergeable else {}, value)
    if type(value) is not list or "merge" not in field.patch_strategies:
        return value
    is_new = type(before) is not list
    before = [] if is_new else before
    order, deleted = patch.get(_ORDER + key), patch.get(_DELETE + key)
    if field.merge_key and is_new and type(order) is not list:
        return _taken(field.type.item or field.type, value)
    if field.merge_key:
        return _merge_items(field, before, value, order)
    return _merge_scalars(before, value, order, deleted)


def _taken(type_: facts.Type, items: list[Any]) -> list[Any]:
    """Take the items of a list that is not there yet: nobody asks for their keys (removeDirectives)."""
    kept = [each for each in items if type(each) is not dict or _PATCH not in each]
    return [_merge_struct(type_, {}, each) if type(each) is dict else each for each in kept]


def _orphan_directives(type_: facts.Type, found: dict[str, Any], patch: dict[str, Any]) -> None:
    """Carry out list directives whose list the patch does not mention otherwise."""
    for directive in patch:
        prefix = next((p for p in (_ORDER, _DELETE) if directive.startswith(p)), None)
        key = directive[len(prefix) :] if prefix else ""
        if not key or patch.get(key) is not None or type(found.get(key)) is not list:
            continue
        field = _field(type_, key)
        order, deleted = patch.get(_ORDER + key), patch.get(_DELETE + key)
        if field.merge_key:
            found[key] = _merge_items(field, found[key], [], order)
        else:
            found[key] = _merge_scalars(found[key], [], order, deleted)


def _merge_scalars(before: list[Any], values: list[Any], order: Any, deleted: Any) -> list[Any]:
    gone = deleted if type(deleted) is list else []
    merged = [v for v in before if v not in gone]
    merged += (v for n, v in enumerate(values) if v not in merged and v not in values[:n])
    if type(order) is list:
        _check_order(values, order)
    return _reorder(merged, order if type(order) is list else values, before, key="")


def _merge_items(field: facts.Field, before: list[Any], items: list[Any], order: Any) -> list[dict[str, Any]]:
    key, type_ = field.merge_key, field.type.item or field.type
    if type(order) is not list and _are_alike(before, items, key):
        return [_merge_struct(type_, *pair) for pair in zip(before, items, strict=True)]
    for item in items:
        if type(item) is not dict:
            raise _malformed(f"expected objects in a list merged by {key}")
    found = list(before)
    if any([_PATCH in item for item in items]):
        if any(i.get(_PATCH) == "replace" for i in items):
            return [i for i in items if _PATCH not in i]
        deleted = [_key_of(i, key) for i in items if i.get(_PATCH) == "delete"]
        items = [i for i in items if i.get(_PATCH) != "delete"]
        found = [i for i in before if not (type(i) is dict and i.get(key) in deleted)]
    kept = list(found)
    places = dict[Any, int]()
    for at, each in enumerate(found):
        if type(each) is dict and each.get(key) is not None:
            places.setdefault(_name(each, key), at)
    for item in items:
        _key_of(item, key)
        wanted = _name(item, key)
        at = places.get(wanted, -1)
        if at < 0:
            places[wanted] = len(found)
            found.append(_merge_struct(type_, {}, item))
        else:
            found[at] = _merge_struct(type_, found[at], item)
    if type(order) is not list:
        return _reorder(found, items, kept, key)
    _check_order([_key_of(i, key) for i in items], [_key_of(o, key) for o in order])
    # New items count as the server's as far as they fill the places of deleted ones: upstream's slices do so,
    # and its tests expect it.
    return _reorder(found, order, found[: len(before)], key)


def _are_alike(before: list[Any], items: list[Any], key: str) -> bool:
    """Tell whether a patch has the items that are there, in their order: then it is merged one by one."""
    if len(before) != len(items):
        return False
    names = set()
    for old, new in zip(before, items, strict=True):
        if type(old) is not dict or type(new) is not dict or _PATCH in new:
            return False
        name = new.get(key)
        if type(name) is not str or old.get(key) != name:
            return False
        names.add(name)
    return len(names) == len(items)


def _check_order(values: list[Any], order: list[Any]) -> None:
    """Demand that a patch lists its items in the order that its directive asks for."""
    rest = iter(order)
    if not all(value in rest for value in values):
        raise _malformed(f"The order in patch list:\n{values}\n doesn't match {_ORDER[:-1]} list:\n{order}\n")


def _key_of(item: dict[str, Any], key: str) -> Any:
    if key not in item:
        raise errors.bad_request(
            f"map: {unstructured.shown(item)} does not contain declared merge key: {key}"
        )
    return item[key]


def _reorder(merged: list[Any], order: list[Any], before: list[Any], key: str) -> list[Any]:
    """Put the items that the client lists into its order; the server's own keep their place among them."""

    names = [_name(each, key) for each in merged]
    if names == [_name(each, key) for each in order] and len(set(names)) == len(names):
        return merged
    wanted, places = dict[Any, int](), dict[Any, int]()  # where a duplicate stands first
    for index, each in enumerate(order):
        wanted.setdefault(_name(each, key), index)
    listed, others = list[Any](), list[Any]()
    for each, name in zip(merged, names, strict=True):
        (listed if name in wanted else others).append(each)
    listed.sort(key=lambda i: wanted[_name(i, key)])
    if not listed or not others:
        return listed or others
    for index, each in enumerate(before):
        places.setdefault(_name(each, key), index)
    result: list[Any] = []
    while listed and others:
        left, right = places.get(_name(listed[0], key)), places.get(_name(others[0], key))
        is_later = left is not None and right is not None and right < left
        result.append(others.pop(0) if is_later else listed.pop(0))
    return result + listed + others


def _name(item: Any, key: str) -> Any:
    """Return what tells items of a list apart; hashable."""
    found = item.get(key) if key and type(item) is dict else item
    return found if type(found) is str or isinstance(found, int | float) else repr(found)


def _malformed(cause: str) -> ApiError:
    return errors.bad_request(f"error decoding patch: {cause}")
