"""Which types stand for which: assignability with type variables. Pure.

Source: cel-go checker/types.go; the rules' order decides which of two types a variable becomes.
"""

from __future__ import annotations

from nanokube.api.cel import types
from nanokube.api.cel.types import Type

Bindings = dict[str, Type]  # what type variables stand for

_NULLABLE = frozenset({"opaque", "struct", "duration", "timestamp"})
_COMPOUND = frozenset({"opaque", "list", "map"})
_LOOSE = frozenset({"dyn", "error"})


def assign(bindings: Bindings, pairs: list[tuple[Type, Type]]) -> Bindings | None:
    """Bind variables so that each first type goes where the second is wanted; None if they don't fit."""
    trial = bindings.copy()
    return trial if all(_assignable(trial, left, right) for left, right in pairs) else None


def substitute(bindings: Bindings, given: Type, *, free_to_dyn: bool = False) -> Type:
    """Replace variables by what they stand for; those that stand for nothing by dyn, if asked."""
    if given.kind == "param":
        bound = bindings.get(given.name)
        if bound is not None:
            return substitute(bindings, bound, free_to_dyn=free_to_dyn)
        return types.DYN if free_to_dyn else given
    if not given.params:
        return given
    params = tuple(substitute(bindings, item, free_to_dyn=free_to_dyn) for item in given.params)
    if all(new is old for new, old in zip(params, given.params, strict=True)):
        return given
    return Type(
        given.kind,
        given.name,
        params,
        given.fields,
        given.max_elements,
        given.min_size,
        given.list_type,
        given.list_keys,
    )


def most_general(left: Type, right: Type) -> Type:
    """Choose the type that takes both."""
    return left if _less_specific(left, right) else right


def _less_specific(left: Type, right: Type) -> bool:
    if left.kind in ("dyn", "param"):
        return True
    if right.kind in ("dyn", "param") or left.kind != right.kind:
        return False
    if left.kind in _COMPOUND:
        return (
            left.name == right.name
            and len(left.params) == len(right.params)
            and all(map(_less_specific, left.params, right.params))
        )
    return left.kind == "type" or left == right


def _assignable(bindings: Bindings, left: Type, right: Type) -> bool:
    if right.kind == "param":
        valid, bound = _bind(bindings, left, right)
        if valid or bound:
            return valid
    if left.kind == "param":
        return _bind(bindings, right, left)[0]
    if left.kind in _LOOSE or right.kind in _LOOSE:
        return True
    if left.kind == "null" or right.kind == "null":
        other = right if left.kind == "null" else left
        return other.kind == "null" or other.kind in _NULLABLE
    if left.kind in _COMPOUND:
        return (
            left.kind == right.kind
            and left.name == right.name
            and len(left.params) == len(right.params)
            and all(_assignable(bindings, a, b) for a, b in zip(left.params, right.params, strict=True))
        )
    if left.kind == "type":
        return right.kind == "type"
    return left.kind == right.kind and left.name == right.name


def _bind(bindings: Bindings, given: Type, variable: Type) -> tuple[bool, bool]:
    """Let `variable` stand for `given`. Says whether it may, and whether it stood for something already."""
    if given == variable:
        return True, True
    bound = bindings.get(variable.name)
    if bound is None:
        if _occurs(bindings, variable, given):
            return False, False
        bindings[variable.name] = given
        return True, False
    if given == bound:
        return True, True
    if not _assignable(bindings, given, bound):
        return False, True
    general = most_general(given, bound)
    if not _occurs(bindings, variable, general):
        bindings[variable.name] = general
    return True, True


def _occurs(bindings: Bindings, variable: Type, within: Type) -> bool:
    if within == variable:
        return True
    if within.kind == "param":
        bound = bindings.get(within.name)
        return bound is not None and _occurs(bindings, variable, bound)
    return any(_occurs(bindings, variable, item) for item in within.params)
