"""Finds match conditions that are certainly false without evaluating them. Pure.

    object.metadata.labels['team'] == 'a'     ┐ one column, the label's value ┬ 'a' -> these
    has(object.metadata.labels) && ... == 'b' ┘                               └ 'b' -> those

A condition is a conjunction, and a conjunction with a false member is false, whatever errors the others have.
So a member that compares a field with a constant decides, when the field is there: what a request's value is
not equal to is skipped without a look. Fields that are not there make errors, except where another member
asks `has(...)` first. What this knows nothing about is evaluated.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from nanokube.api.cel import runtime, syntax
from nanokube.api.cel.syntax import Call, Const, Expr, Ident, ListExpr, Select

G = TypeVar("G")
Path = tuple[str, ...]
_ROOTS: Final = ("object", "oldObject", "request")
_PLAIN: Final = (str, int, bool)
_TESTS: Final = ("startsWith", "endsWith", "contains")


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison. function: "==" with one of values, or a name of _TESTS with the only one."""

    path: Path
    function: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a condition. guarded: paths that it asks for before reading them."""

    test: Test
    guarded: frozenset[Path]


@dataclass(slots=True)
class _Column(Generic[G]):
    """All that compare one field."""

    every: list[tuple[frozenset[Path], G]] = field(default_factory=list)
    equal: dict[tuple[type, Any], list[G]] = field(default_factory=dict)
    begin: dict[int, dict[str, list[G]]] = field(default_factory=dict)  # by length
    end: dict[int, dict[str, list[G]]] = field(default_factory=dict)
    within: list[tuple[str, G]] = field(default_factory=list)
    missing: dict[int, list[G]] = field(default_factory=dict)

    def add(self, known: Known, group: G) -> None:
        self.every.append((known.guarded, group))
        if known.test.function == "==":
            for value in known.test.values:
                self.equal.setdefault((type(value), value), []).append(group)
            return
        text = known.test.values[0]
        if known.test.function == "contains":
            self.within.append((text, group))
        else:
            ends = self.begin if known.test.function == "startsWith" else self.end
            ends.setdefault(len(text), {}).setdefault(text, []).append(group)

    def candidates(self, path: Path, root: Any) -> Sequence[G]:
        """List those that are not certainly false for an object."""
        value = root
        for depth, key in enumerate(path[1:], 1):
            if not isinstance(value, Mapping):
                return [group for _, group in self.every]
            if key not in value:
                return self._without(path, depth)
            value = value[key]
        if type(value) not in _PLAIN:
            return [group for _, group in self.every]
        found = list(self.equal.get((type(value), value), ()))
        if type(value) is not str:
            return found if not self._has_tests else [group for _, group in self.every]
        for size, texts in self.begin.items():
            found += texts.get(value[:size], ())
        for size, texts in self.end.items():
            found += texts.get(value[max(0, len(value) - size) :], ())
        found += [group for text, group in self.within if text in value]
        return found

    @property
    def _has_tests(self) -> bool:
        return bool(self.begin or self.end or self.within)

    def _without(self, path: Path, depth: int) -> Sequence[G]:
        """List those that do not ask whether the field is there, and so fail."""
        found = self.missing.get(depth)
        if found is None:
            at = path[: depth + 1]
            found = self.missing[depth] = [group for guarded, group in self.every if at not in guarded]
        return found


class Prefilter(Generic[G]):
    """Columns, by the field that they compare."""

    def __init__(self) -> None:
        self._columns: dict[Path, _Column[G]] = {}

    def add(self, sources: Sequence[str], group: G) -> bool:
        """Take expressions that must all hold, and what depends on them; tell whether they are understood."""
        known = read(tuple(sources))
        if known is None:
            return False
        self._columns.setdefault(known.test.path, _Column()).add(known, group)
        return True

    def candidates(self, root: Callable[[str], Any]) -> list[G]:
        """List what is not certainly false. root: gives a variable's value."""
        found: list[G] = []
        for path, column in self._columns.items():
            found += column.candidates(path, root(path[0]))
        return found


@functools.lru_cache(maxsize=8192)
def read(sources: tuple[str, ...]) -> Known | None:
    """Find a comparison that must hold; None if there is none that we understand."""
    tests, guarded = list[Test](), set[Path]()
    for source in sources:
        try:
            root, _ = syntax.decode(runtime.parse(source), source)
        except runtime.SyntaxFault:
            return None
        for member in _members(root):
            asked = _guard(member)
            if asked is not None:
                guarded.add(asked)
            test = _test(member)
            if test is not None:
                tests.append(test)
    if not tests:
        return None
    tests.sort(key=lambda test: test.function != "==")
    return Known(tests[0], frozenset(guarded))


def _members(node: Expr) -> Iterator[Expr]:
    if isinstance(node, Call) and node.function == "_&&_":
        for arg in node.args:
            yield from _members(arg)
    else:
        yield node


def _guard(node: Expr) -> Path | None:
    """Read has(path), or 'key' in path."""
    if isinstance(node, Select) and node.test:
        above = _path(node.operand)
        return (*above, node.field) if above else None
    if isinstance(node, Call) and node.function == "@in":
        key, above = node.args[0], _path(node.args[1])
        if isinstance(key, Const) and isinstance(key.value, str) and above:
            return (*above, key.value)
    return None


def _test(node: Expr) -> Test | None:
    if not isinstance(node, Call):
        return None
    if node.function == "_==_":
        left, right = node.args
        if isinstance(left, Const):
            left, right = right, left
        return _equal(left, [right])
    if node.function == "@in" and isinstance(node.args[1], ListExpr) and not node.args[1].optional:
        return _equal(node.args[0], node.args[1].elements)
    if node.function in _TESTS and node.target is not None and len(node.args) == 1:
        path, arg = _path(node.target), node.args[0]
        if path and isinstance(arg, Const) and arg.kind == "string":
            return Test(path, node.function, (arg.value,))
    return None


def _equal(node: Expr, wanted: Sequence[Expr]) -> Test | None:
    path = _path(node)
    if not path or len(path) < 2:
        return None
    values = [c.value for c in wanted if isinstance(c, Const) and c.kind in ("string", "int", "bool")]
    return Test(path, "==", tuple(values)) if len(values) == len(wanted) else None


def _path(node: Expr) -> Path | None:
    """Read object.a.b['c']."""
    match node:
        case Ident():
            return (node.name,) if node.name in _ROOTS else None
        case Select() if not node.test:
            above = _path(node.operand)
            return (*above, node.field) if above else None
        case Call(function="_[_]"):
            above, key = _path(node.args[0]), node.args[1]
            if above and isinstance(key, Const) and key.kind == "string":
                return (*above, key.value)
    return None
