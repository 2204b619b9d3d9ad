"""Macros that the library's parser does not know: comprehensions of two variables, sortBy. Pure.

Source: cel-go ext/comprehensions.go, ext/lists.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from nanokube.api.cel import syntax
from nanokube.api.cel.errors import Issue
from nanokube.api.cel.syntax import Call, Const, Expr, Fold, Ident, ListExpr, MapExpr, Source

ACCUMULATOR = "@result"


class _Fault(Exception):
    def __init__(self, node: int, message: str) -> None:
        super().__init__(message)
        self.issue = Issue(node, message)


def expand(root: Expr, source: Source) -> tuple[Expr, list[Issue]]:
    """Replace macro calls by what they mean; new nodes stand where the call stood."""
    expander = _Expander(root, source)
    return expander.visit(root), expander.issues


class _Expander:
    def __init__(self, root: Expr, source: Source) -> None:
        self.last = max((node.id for node in syntax.walk(root)), default=0)
        self.last = max(self.last, max(source.positions, default=0))
        self.source = source
        self.issues: list[Issue] = []
        self.at = 0

    def visit(self, node: Expr) -> Expr:
        node = syntax.rebuild(node, self.visit)
        if not isinstance(node, Call) or node.target is None:
            return node
        macro = _MACROS.get((node.function, len(node.args)))
        if macro is None:
            return node
        self.at = node.id
        try:
            return macro(self, node.target, node.args)
        except _Fault as fault:
            self.issues.append(fault.issue)
            return node

    def new(self) -> int:
        self.last += 1
        if self.at in self.source.positions:
            self.source.positions[self.last] = self.source.positions[self.at]
        return self.last

    def const(self, kind: str, value: object) -> Const:
        return Const(self.new(), kind, value)

    def call(self, function: str, *args: Expr) -> Call:
        return Call(self.new(), None, function, list(args))

    def accumulator(self) -> Ident:
        return Ident(self.new(), ACCUMULATOR)

    def name(self, node: Expr, message: str = "argument must be a simple name") -> str:
        if not isinstance(node, Ident) or node.name.startswith("."):
            raise _Fault(node.id, message)
        if node.name in (ACCUMULATOR, "__result__"):
            raise _Fault(node.id, "iteration variable overwrites accumulator variable")
        return node.name

    def fold(self, over: Expr, args: list[Expr], initial: Expr, condition: Expr, step: Expr) -> Fold:
        first, second = self.name(args[0]), self.name(args[1])
        if first == second:
            raise _Fault(args[1].id, f"duplicate variable name: {first}")
        return Fold(
            self.new(), first, second, over, ACCUMULATOR, initial, condition, step, self.accumulator()
        )

    def filtered(self, args: list[Expr], step: Expr) -> Expr:
        """Do the step only where the filter, the third of four arguments, holds."""
        if len(args) == 3:
            return step
        return self.call("_?_:_", args[2], step, self.accumulator())


Macro = Callable[[_Expander, Expr, list[Expr]], Expr]


def _all(make: _Expander, over: Expr, args: list[Expr]) -> Expr:
    condition = make.call("@not_strictly_false", make.accumulator())
    step = make.call("_&&_", make.accumulator(), args[2])
    return make.fold(over, args, make.const("bool", True), condition, step)


def _exists(make: _Expander, over: Expr, args: list[Expr]) -> Expr:
    condition = make.call("@not_strictly_false", make.call("!_", make.accumulator()))
    step = make.call("_||_", make.accumulator(), args[2])
    return make.fold(over, args, make.const("bool", False), condition, step)


def _exists_one(make: _Expander, over: Expr, args: list[Expr]) -> Expr:
    more = make.call("_+_", make.accumulator(), make.const("int", 1))
    step = make.call("_?_:_", args[2], more, make.accumulator())
    fold = make.fold(over, args, make.const("int", 0), make.const("bool", True), step)
    result = make.call("_==_", make.accumulator(), make.const("int", 1))
    return dataclasses.replace(fold, result=result)


def _transform_list(make: _Expander, over: Expr, args: list[Expr]) -> Expr:
    step = make.call("_+_", make.accumulator(), ListExpr(make.new(), [args[-1]]))
    initial = ListExpr(make.new(), [])
    return make.fold(over, args, initial, make.const("bool", True), make.filtered(args, step))


def _transform_map(make: _Expander, over: Expr, args: list[Expr]) -> Expr:
    key = Ident(make.new(), make.name(args[0]))
    step = make.call("cel.@mapInsert", make.accumulator(), key, args[-1])
    initial = MapExpr(make.new(), [])
    return make.fold(over, args, initial, make.const("bool", True), make.filtered(args, step))


def _transform_entry(make: _Expander, over: Expr, args: list[Expr]) -> Expr:
    step = make.call("cel.@mapInsert", make.accumulator(), args[-1])
    initial = MapExpr(make.new(), [])
    return make.fold(over, args, initial, make.const("bool", True), make.filtered(args, step))


def _sort_by(make: _Expander, over: Expr, args: list[Expr]) -> Expr:
    """Bind the list, map it to its keys, and sort by them."""
    variable = make.name(args[0], "cannot use a non-identifier as the first argument of sortBy")
    held = "@__sortBy_input__"
    mapped = make.call("_+_", make.accumulator(), ListExpr(make.new(), [args[1]]))
    keys = Fold(
        make.new(),
        variable,
        "",
        Ident(make.new(), held),
        ACCUMULATOR,
        ListExpr(make.new(), []),
        make.const("bool", True),
        mapped,
        make.accumulator(),
    )
    result = Call(make.new(), Ident(make.new(), held), "@sortByAssociatedKeys", [keys])
    unused = Ident(make.new(), held)
    return Fold(
        make.new(),
        "#unused",
        "",
        ListExpr(make.new(), []),
        held,
        over,
        make.const("bool", False),
        unused,
        result,
    )


_MACROS: dict[tuple[str, int], Macro] = {
    ("all", 3): _all,
    ("exists", 3): _exists,
    ("existsOne", 3): _exists_one,
    ("exists_one", 3): _exists_one,
    ("transformList", 3): _transform_list,
    ("transformList", 4): _transform_list,
    ("transformMap", 3): _transform_map,
    ("transformMap", 4): _transform_map,
    ("transformMapEntry", 3): _transform_entry,
    ("transformMapEntry", 4): _transform_entry,
    ("sortBy", 2): _sort_by,
}
