"""Dropping what a structural schema does not know. Pure.

Most objects have nothing to drop, so a schema is compiled into closures that only say whether that is so; the
slow walker, which names every unknown field, runs when they say no.
Source: apiextensions-apiserver/pkg/apiserver/schema/pruning/algorithm.go, defaulting/prunenulls.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nanokube.api.custom.node import META_FIELDS, Node

Check = Callable[[Any], bool]
_SCALARS: Final = frozenset((str, int, float, bool))


def is_scalar(value: Any) -> bool:
    """Tell whether a value has nothing below it and is not null."""
    return type(value) in _SCALARS


def is_scalar_or_null(value: Any) -> bool:
    """Tell whether a value has nothing below it."""
    return value is None or type(value) in _SCALARS


def _anything(value: Any) -> bool:
    return True


def _anything_but_null(value: Any) -> bool:
    return value is not None


def compile_check(node: Node, *, is_root: bool = False) -> Check:
    """Make a function that tells whether a value has only known fields and no null to drop.

    It may say no when there is nothing to drop, but never yes when there is.
    """
    if not node.properties and node.items is None and node.additional is None and not is_root:
        if node.preserves:
            return _anything if node.is_nullable else _anything_but_null
        if node.is_int_or_string or node.type not in ("object", "array", ""):
            return is_scalar_or_null if node.is_nullable else is_scalar
    return _compile_branch(node, is_root)


def _compile_branch(node: Node, is_root: bool) -> Check:
    table: dict[str, Check] = {k: compile_check(v) for k, v in node.properties.items()}
    if is_root or node.is_embedded:
        table |= dict.fromkeys(META_FIELDS, _anything)
    other = compile_check(node.additional) if node.additional is not None else None
    if other is None and node.preserves:
        other = _anything
    elif other is None and node.allows_additional is not None:
        other = is_scalar_or_null  # nothing is known of what is below
    item = compile_check(node.items) if node.items is not None else None
    if item is None and node.preserves:
        item = _anything
    is_nullable = node.is_nullable

    def check(value: Any) -> bool:
        kind = type(value)
        if kind is dict:
            for key, member in value.items():
                found = table.get(key, other)
                if found is is_scalar:
                    if type(member) not in _SCALARS:
                        return False
                elif found is None or not found(member):
                    return False
            return True
        if kind is list:
            if item is is_scalar:
                return _SCALARS.issuperset(map(type, value))
            return not value or (item is not None and all(map(item, value)))
        return value is not None or is_nullable

    return check


def prune(node: Node, value: Any, *, is_root: bool = False) -> list[str]:
    """Drop unknown fields in place; return their paths, sorted."""
    unknown: list[str] = []
    _prune(node, value, "", unknown, is_root)
    return sorted(unknown)


def _prune(node: Node | None, value: Any, path: str, unknown: list[str], is_root: bool = False) -> None:
    if type(value) is dict:
        has_meta = node is not None and (node.is_embedded or is_root)
        for key in list(value):
            if has_meta and key in META_FIELDS:
                continue
            here = f"{path}.{key}" if path else key
            if node is not None and (key in node.properties or node.allows_additional is not None):
                # of what is below `additionalProperties: true` nothing is known
                _prune(node.child(key), value[key], here, unknown)
            elif node is None or not node.preserves:
                unknown.append(here)
                del value[key]
    elif type(value) is list:
        keeps = node is not None and node.preserves
        for index, item in enumerate(value):
            here = f"{path}[{index}]"
            if not keeps:
                _prune(node.items if node else None, item, here, unknown)
            elif node is not None and node.items is not None:
                _keep(node.items, item, here, unknown)


def _keep(node: Node, value: Any, path: str, unknown: list[str]) -> None:
    """Prune an item of a list that preserves unknown fields: only below fields that are specified."""
    if type(value) is dict:
        for key in list(value):
            if node.is_embedded and key in META_FIELDS:
                continue
            if key in node.properties or node.allows_additional is not None:
                _prune(node.child(key), value[key], f"{path}.{key}", unknown)
    elif type(value) is list and node.items is not None:
        for index, item in enumerate(value):
            _keep(node.items, item, f"{path}[{index}]", unknown)


def drop_nulls(node: Node | None, value: Any) -> None:
    """Drop nulls, in place, from objects whose schema allows none and has no default."""
    if node is None:
        return
    if type(value) is dict:
        for key in list(value):
            child = node.child(key)
            if value[key] is None:
                if child is not None and not child.is_nullable and child.default is None:
                    del value[key]
            else:
                drop_nulls(child, value[key])
    elif type(value) is list:
        for item in value:
            drop_nulls(node.items, item)
