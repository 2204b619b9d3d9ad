"""Which parts of an object an expression reads: only those are converted for it. Pure."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from nanokube.api.cel import syntax
from nanokube.api.cel.environment import Program
from nanokube.api.cel.syntax import Expr, Ident, Select

OBJECTS: Final = ("object", "oldObject")
_SMALL: Final = ("request", "namespaceObject")
_OTHERS: Final = ("params", "variables", "authorizer")

Part = tuple[str, str, str]
Parts = frozenset[Part]


@functools.lru_cache(maxsize=8192)
def parts(program: Program) -> Parts | None:
    """List what an expression reads as (variable, field, its field); None if nobody can tell.

    An empty field stands for all of what is before it.
    """
    found = set[Part]()
    return frozenset(found) if _read(program.checked.root, found) else None


def project(obj: Mapping[str, Any], wanted: Parts, name: str) -> dict[str, Any]:
    """Give the parts of an object that are read of a variable."""
    found: dict[str, Any] = {}
    for root, key, below in wanted:
        if root != name or key not in obj:
            continue
        value = obj[key]
        if not below or not isinstance(value, Mapping):
            found[key] = value
            continue
        kept = found.setdefault(key, {})
        if kept is not value and below in value:
            kept[below] = value[below]
    return found


def _read(node: Expr, found: set[Part]) -> bool:
    match node:
        case Select(operand=Select(operand=Ident(name=name), field=key, test=False)) if name in OBJECTS:
            found.add((name, key, node.field))
            return True
        case Select(operand=Ident(name=name)) if name in OBJECTS:
            found.add((name, node.field, ""))
            return True
    if isinstance(node, Ident):
        if node.name in _SMALL:
            found.add((node.name, "", ""))
        return node.name not in (*OBJECTS, *_OTHERS)
    return all([_read(child, found) for child in syntax.children(node)])
