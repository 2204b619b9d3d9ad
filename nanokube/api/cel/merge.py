"""Many conditions as one: a tree that is false exactly when each of them is. Pure.

    r.exists(c, c.image == 'a')              r.exists(c, c.image in ['a', 'b'])
    r.exists(c, c.image == 'b')          =>  || has(o.x) && o.x.matches('(?:p)|(?:q)')
    has(o.x) && o.x.matches('p')
    has(o.x) && o.x.matches('q')

Each step keeps when the whole is false, and nothing else: an `||` is false only if both sides are, whatever
errors there are, and an `&&` if one side is. What is not false may be true or an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Final

from nanokube.api.cel import runtime, syntax
from nanokube.api.cel.library import kept
from nanokube.api.cel.syntax import Call, Const, Entry, Expr, Fold, Ident, ListExpr, MapExpr

MATCHES: Final = runtime.PREFIX + "@matches"  # with the pattern compiled once; the runtime's is at every call
ONE_OF: Final = runtime.PREFIX + "@isOneOf"  # of texts, kept as a set; the runtime makes a list at every call
_MANY: Final = 8  # texts, from which on a call is cheaper than a list
_LEAST: Final = {"_>_": True, "_>=_": True, "_<_": False, "_<=_": False}  # which bound is the easiest
_NOT_ALONE: Final = ("\\Q", "(?P", "(?<")  # what reaches beyond a group, or has names that must differ

Key = tuple[Any, ...]


def any_of(trees: Sequence[Expr]) -> Expr:
    """Build what is false if and only if all of the (lowered) trees are."""
    members: dict[Key, Expr] = {shape(each): each for tree in trees for each in parts(tree, "_||_")}
    groups: dict[Key, list[Expr]] = {}
    for key, member in members.items():
        groups.setdefault(_kind(member, key), []).append(member)
    return balanced("_||_", [_merged(kind[0], group) for kind, group in groups.items()])


def all_of(trees: Sequence[Expr]) -> Expr:
    """Build what is false if and only if one of the trees is."""
    return balanced("_&&_", list(trees))


def balanced(operator: str, trees: list[Expr]) -> Expr:
    """Join trees by an operator, none deep."""
    while len(trees) > 1:
        pairs = [trees[at : at + 2] for at in range(0, len(trees), 2)]
        trees = [Call(0, None, operator, pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return trees[0]


def with_patterns(node: Expr) -> Expr:
    """Let constant patterns be compiled once."""
    changed = syntax.rebuild(node, with_patterns)
    return _matches([changed]) if _pattern(changed) is not None else changed


def shared(root: Expr) -> Expr:
    """Let what is found in several places be evaluated once, when it is first wanted."""
    found = _Repeated()
    found.read(root)
    body = found.write(root, frozenset())
    return Call(0, None, "cel.@block", [ListExpr(0, found.bound), body]) if found.bound else root


class _Repeated:
    """Numbers trees by their shapes, and counts them."""

    def __init__(self) -> None:
        self.bound: list[Expr] = []
        self._known: dict[Key, int] = {}
        self._counts: list[int] = []
        self._numbers: dict[int, int] = {}  # by identity of the node
        self._names: dict[int, frozenset[str]] = {}  # the variables that a node reads
        self._indexes: dict[int, str] = {}

    def read(self, node: Expr) -> int:
        children = list(syntax.children(node))
        numbers = [self.read(child) for child in children]
        if isinstance(node, Const | Ident):
            key = shape(node)
        else:
            fields = [getattr(node, field.name) for field in dataclasses.fields(node) if field.name != "id"]
            plain = [value for value in fields if isinstance(value, str | bool | frozenset)]
            entries = getattr(node, "entries", ())
            marks = [(entry.optional, entry.key if isinstance(entry.key, str) else "") for entry in entries]
            has_target = isinstance(node, Call) and node.target is not None
            key = (type(node).__name__, *plain, *marks, has_target, *numbers)
        number = self._known.setdefault(key, len(self._known))
        if number == len(self._counts):
            self._counts.append(0)
        self._counts[number] += 1
        self._numbers[id(node)] = number
        names = frozenset({node.name}) if isinstance(node, Ident) else frozenset()
        self._names[id(node)] = names.union(*(self._names[id(child)] for child in children))
        return number

    def write(self, node: Expr, hidden: frozenset[str]) -> Expr:
        """Copy a tree with what repeats replaced. hidden: variables of the loops around."""
        number = self._numbers[id(node)]
        if not isinstance(node, Const | Ident | ListExpr | MapExpr) and self._counts[number] > 1:
            names = self._names[id(node)]
            if names and not names & hidden:
                if number not in self._indexes:
                    self._indexes[number] = f"@index{len(self.bound)}"
                    self.bound.append(node)
                return Ident(0, self._indexes[number])
        if isinstance(node, Fold):
            hidden |= {node.variable, node.second, node.accumulator}
        return syntax.rebuild(node, lambda child: self.write(child, hidden))


def shape(node: Any) -> Key:
    """Describe a tree without its ids; equal trees have equal shapes."""
    match node:
        case Const():
            return ("const", node.kind, repr(node.value))  # repr: 1 is not true, and NaN is itself
        case Ident():
            return ("ident", node.name)
        case Entry():
            return ("entry", shape(node.key), shape(node.value), node.optional)
    fields = [getattr(node, field.name) for field in dataclasses.fields(node) if field.name != "id"]
    return (type(node).__name__, *map(_field_shape, fields))


def _field_shape(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(shape, value))
    return shape(value) if dataclasses.is_dataclass(value) else value


def parts(node: Expr, operator: str) -> Iterator[Expr]:
    """Yield what an operator joins, also through its own operands."""
    if isinstance(node, Call) and node.function == operator:
        for arg in node.args:
            yield from parts(arg, operator)
    else:
        yield node


def _kind(node: Expr, key: Key) -> Key:
    """Tell with which others a tree can be merged: those of the same kind."""
    if isinstance(node, Fold) and _found(node) is not None:
        return ("exists", node.variable, node.accumulator, shape(node.range))
    if isinstance(node, Call):
        if node.function == "_&&_":
            return ("guarded", shape(next(parts(node, "_&&_"))))
        both = compared(node)
        if both is not None:
            return ("equal", shape(both[0]))
        found = _pattern(node)
        if found is not None:
            return ("matches", shape(found[0]))
        if node.function in _LEAST and (bound := _bound(node)) is not None:
            return ("ordered", node.function, bound.kind, shape(node.args[0]))
    return ("", key)


def _merged(kind: str, group: list[Expr]) -> Expr:
    match kind:
        case "exists":
            return _exists(group)
        case "guarded" if len(group) > 1:
            return _guarded(group)
        case "equal" if len(group) > 1:
            return _equal(group)
        case "matches":
            return _matches(group)
        case "ordered":
            return _ordered(group)
    return group[0]


def _bound(node: Call) -> Const | None:
    """Read `x < constant`."""
    right = node.args[-1]
    return right if isinstance(right, Const) and right.kind in ("int", "string") else None


def _ordered(group: list[Expr]) -> Expr:
    """Choose the comparison that holds whenever one of them does."""
    bounds = [(bound.value, node) for node in group if isinstance(node, Call) and (bound := _bound(node))]
    first = group[0]
    assert isinstance(first, Call)
    choose = min if _LEAST[first.function] else max
    return choose(bounds, key=lambda each: each[0])[1]


def _found(node: Fold) -> Expr | None:
    """Give the condition of an `exists`: `found || condition` at each turn, from false."""
    step = node.step
    if (
        not node.second
        and isinstance(node.initial, Const)
        and node.initial.value is False
        and isinstance(node.result, Ident)
        and node.result.name == node.accumulator
        and isinstance(step, Call)
        and step.function == "_||_"
        and isinstance(step.args[0], Ident)
        and step.args[0].name == node.accumulator
    ):
        return step.args[1]
    return None


def _exists(group: list[Expr]) -> Expr:
    conditions = []
    for node in group:
        assert isinstance(node, Fold)
        assert isinstance(node.step, Call)
        conditions.append(node.step.args[1])
    first = group[0]
    assert isinstance(first, Fold)
    step = Call(0, None, "_||_", [Ident(0, first.accumulator), any_of(conditions)])
    return dataclasses.replace(first, step=step)


def _guarded(group: list[Expr]) -> Expr:
    members = [list(parts(node, "_&&_")) for node in group]
    rest = any_of([all_of(each[1:]) for each in members])
    return Call(0, None, "_&&_", [members[0][0], rest])


def compared(node: Call) -> tuple[Expr, list[Const]] | None:
    """Read `x == constant` or `x in [constants]`."""
    if node.function == "_==_":
        left, right = node.args
        if isinstance(left, Const):
            left, right = right, left
        return (left, [right]) if isinstance(right, Const) else None
    if node.function == "@in" and isinstance(node.args[1], ListExpr) and not node.args[1].optional:
        wanted = [each for each in node.args[1].elements if isinstance(each, Const)]
        return (node.args[0], wanted) if wanted and len(wanted) == len(node.args[1].elements) else None
    if node.function == ONE_OF:
        value, name = arguments(node)
        return value, [Const(0, "string", text) for text in sorted(kept.texts_of(name))]
    return None


def arguments(node: Call) -> tuple[Expr, str]:
    """Read the call of a function of ours with a constant."""
    given = node.args[0]
    assert isinstance(given, ListExpr)
    value, constant = given.elements
    assert isinstance(constant, Const)
    return value, constant.value


def _equal(group: list[Expr]) -> Expr:
    found = [compared(node) for node in group if isinstance(node, Call)]
    read = [each for each in found if each is not None]
    values: dict[Key, Const] = {shape(value): value for _, wanted in read for value in wanted}
    if len(values) >= _MANY and all(value.kind == "string" for value in values.values()):
        name = kept.keep_texts(frozenset(value.value for value in values.values()))
        return Call(0, None, ONE_OF, [ListExpr(0, [read[0][0], Const(0, "string", name)])])
    return Call(0, None, "@in", [read[0][0], ListExpr(0, list(values.values()))])


def _pattern(node: Expr) -> tuple[Expr, str] | None:
    """Read `x.matches(pattern)` with a constant pattern that goes together with others."""
    if isinstance(node, Call) and node.function == MATCHES:
        value, name = arguments(node)
        return value, kept.pattern_of(name)
    if not isinstance(node, Call) or node.function != "matches" or node.target is None:
        return None
    pattern = node.args[0]
    if not isinstance(pattern, Const) or pattern.kind != "string":
        return None
    return None if any(mark in pattern.value for mark in _NOT_ALONE) else (node.target, pattern.value)


def _matches(group: list[Expr]) -> Expr:
    found = [each for node in group if (each := _pattern(node)) is not None]
    joined = "|".join(f"(?:{pattern})" for _, pattern in found)
    name = kept.keep_pattern(joined)
    if name is None:  # too large
        return balanced("_||_", group)
    return Call(0, None, MATCHES, [ListExpr(0, [found[0][0], Const(0, "string", name)])])
