"""Conditions that are alike but for a text, by which it is told at once that none of them is true. Pure.

e.name == 'a' && P, e.name == 'b' && Q       all false where e.name is a text and none of a, b
m[?'a'] != '', m[?'b'] != ''                 all say the same where m has none of the keys a, b
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api.cel import merge, syntax
from nanokube.api.cel.syntax import Call, Const, Expr

MANY: Final = 8  # from which on it is worth while to ask for all at once

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Alike:
    """place: what is compared, or has keys. texts: what with, or which keys."""

    place: Expr
    texts: frozenset[str]
    nodes: Sequence[Expr]


def by_comparison(nodes: Sequence[Expr]) -> tuple[list[Alike], list[Expr]]:
    """Find conjunctions that compare one place with texts; and the rest."""
    groups: dict[Key, list[tuple[Expr, frozenset[str], Expr]]] = {}
    rest: list[Expr] = []
    for node in nodes:
        found = next((each for part in merge.parts(node, "_&&_") if (each := _texts(part))), None)
        if found is None:
            rest.append(node)
        else:
            groups.setdefault(merge.shape(found[0]), []).append((*found, node))
    return _split(list(groups.values()), rest)


def by_key(nodes: Sequence[Expr]) -> tuple[list[Alike], list[Expr]]:
    """Find those that differ in the key that they read of one map only; and the rest."""
    groups: dict[Key, list[tuple[Expr, frozenset[str], Expr]]] = {}
    rest: list[Expr] = []
    for node in nodes:
        read = list(_keys(node))
        if not read or len({(key, merge.shape(place)) for place, key in read}) > 1:
            rest.append(node)
        else:
            place, key = read[0]
            template = (merge.shape(place), merge.shape(_without_key(node)))
            groups.setdefault(template, []).append((place, frozenset({key}), node))
    return _split(list(groups.values()), rest)


def _split(
    groups: Sequence[Sequence[tuple[Expr, frozenset[str], Expr]]], rest: list[Expr]
) -> tuple[list[Alike], list[Expr]]:
    found: list[Alike] = []
    for group in groups:
        nodes = [node for _, _, node in group]
        if len(group) < MANY:
            rest += nodes
        else:
            found.append(Alike(group[0][0], frozenset[str]().union(*(texts for _, texts, _ in group)), nodes))
    return found, rest


def _texts(node: Expr) -> tuple[Expr, frozenset[str]] | None:
    found = merge.compared(node) if isinstance(node, Call) else None
    if found is None or any(each.kind != "string" for each in found[1]):
        return None
    return found[0], frozenset(each.value for each in found[1])


def _key(node: Expr) -> tuple[Expr, str] | None:
    match node:
        case Call(function="@in", args=[Const(kind="string", value=key), place]):
            return place, key
        case Call(function="_[_]" | "_[?_]", args=[place, Const(kind="string", value=key)]):
            return place, key
    return None


def _keys(node: Expr) -> Iterator[tuple[Expr, str]]:
    return (found for each in syntax.walk(node) if (found := _key(each)) is not None)


def _without_key(node: Expr) -> Expr:
    """Copy a tree with its keys left out."""
    if _key(node) is not None:
        assert isinstance(node, Call)
        at = 0 if node.function == "@in" else 1
        args = [Const(0, "key", "") if number == at else arg for number, arg in enumerate(node.args)]
        return Call(node.id, node.target, node.function, args)
    return syntax.rebuild(node, _without_key)
