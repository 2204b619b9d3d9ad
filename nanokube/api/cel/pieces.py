"""Evaluating loops that are longer than the runtime's limit of 10,000 turns, a piece of the range at a time.

Outermost loops are run by us: each piece is one evaluation, which starts from what the last one gave. What a
loop gave is then a variable of the rest of the expression.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from nanokube.api.cel import lower, metering, runtime, syntax
from nanokube.api.cel.syntax import Call, Const, Expr, Fold, Ident, ListExpr, MapExpr

Run = tuple[Any, str | None]  # value, or what went wrong

_FIRST_PIECE = 256
_LONGEST_PIECE = 8192
_MOST_CARRIED = (
    1_000_000  # elements and characters; a list of references to a large one is many times its size
)
TOO_LARGE = "gathered values are too large"
_PIECE, _HELD = "@piece", "@before"


def evaluate(
    root: Expr, values: Mapping[str, Any], meter: metering.Meter | None, *, gathers_long: bool
) -> Run:
    """Evaluate a lowered tree over native values.

    meter: what is left to spend, if it is counted; work that is done again is charged once.
    gathers_long: whether inner loops may gather long lists, and so must go in pieces too.
    """
    names = itertools.count()
    bound = dict(values)

    def replace(node: Expr) -> Expr:
        if not isinstance(node, Fold):
            return syntax.rebuild(node, replace)
        if isinstance(node.condition, Const) and not node.condition.value:
            return dataclasses.replace(node, initial=replace(node.initial))  # a binding: its body has a scope
        loop = dataclasses.replace(node, range=replace(node.range))
        value, fault = _Loop(loop, bound, meter, gathers_long=gathers_long).run()
        if fault is not None:
            return Call(0, None, runtime.PREFIX + "@fail", [ListExpr(0, [Const(0, "string", fault)])])
        name = f"@loop{next(names)}"
        bound[name] = value
        return Ident(0, name)

    return _run(replace(root), bound)


def _run(root: Expr, values: Mapping[str, Any]) -> Run:
    return runtime.evaluate(_load(root), runtime.activation(dict(values)))


def _load(root: Expr) -> Any:
    return runtime.load(syntax.encode(lower.renumbered(root)))


class _Loop:
    """One loop, over values of the variables that are not its own."""

    def __init__(
        self, fold: Fold, values: Mapping[str, Any], meter: metering.Meter | None, *, gathers_long: bool
    ) -> None:
        self.fold = fold
        self.values = values
        self.meter = meter
        # lists and maps are gathered here, as the runtime appends in place only to what begins empty
        self.is_gathered = _gathers(fold)
        self.is_decided_once = isinstance(fold.initial, Const) and fold.initial.kind == "bool"  # all, exists
        self.gathers_long = gathers_long
        self.is_by_turns = gathers_long and any(map(_gathers, syntax.walk(fold.step)))
        self.fault: str | None = None
        self.carried = 0

    def run(self) -> Run:
        over, fault = _run(self.fold.range, self.values)
        if fault is not None:
            return None, fault
        start, _ = _run(self.fold.initial, self.values)
        held = self.turns(_items(over, is_pair=bool(self.fold.second)), start)
        if self.fault is not None:
            return None, self.fault
        return _run(self.fold.result, {**self.values, self.fold.accumulator: held})

    def turns(self, items: list[Any], start: Any) -> Any:
        """Go through all items. A fault of one piece stays, unless a later one decides `all` or `exists`."""
        initial = self.fold.initial if self.is_gathered else Ident(0, _HELD)
        result = Ident(0, self.fold.accumulator)
        body = _load(dataclasses.replace(self.fold, range=Ident(0, _PIECE), initial=initial, result=result))
        held, at, length = start, 0, 1 if self.is_by_turns else _FIRST_PIECE
        while at < len(items) and not (self.meter is not None and self.meter.is_exceeded):
            spent = self.meter.spent if self.meter is not None else 0
            piece = items[at : at + length]
            if self.is_by_turns:
                found, fault = self.turn(piece[0], start if self.is_gathered else held)
            else:
                found, fault = self.piece(body, piece, held)
            if fault is not None and runtime.is_iteration_limit(fault):
                if self.meter is not None:
                    self.meter.spent = spent
                if length > 1:
                    length = max(length // 4, 1)
                    continue
                found, fault = self.turn(piece[0], start if self.is_gathered else held)
            at += len(piece)
            if not self.is_by_turns:
                length = min(length * 2, _FIRST_PIECE if self.is_gathered else _LONGEST_PIECE)
            if fault is None:
                if not self.is_affordable(found):
                    self.fault = TOO_LARGE
                    break
                held = self.gather(held, found)
                if self.is_decided_once and held is not start:
                    self.fault = None
                    return held
            else:
                self.fault = self.fault or fault
                if not self.is_decided_once:
                    break
        return held

    def piece(self, body: Any, items: list[Any], held: Any) -> Run:
        given = dict(items) if self.fold.second else items
        return runtime.evaluate(body, runtime.activation({**self.values, _PIECE: given, _HELD: held}))

    def is_affordable(self, found: Any) -> bool:
        """Whether what was gathered so far is not too much to carry from piece to piece."""
        if self.is_gathered:
            self.carried += metering.weight({"": found})
        return self.carried <= _MOST_CARRIED

    def gather(self, held: Any, found: Any) -> Any:
        if not self.is_gathered:
            return found
        if isinstance(held, list):
            held += found
            return held
        return {**held, **found}

    def turn(self, item: Any, held: Any) -> Run:
        """Do one turn whose own loops are too long."""
        values = {**self.values, self.fold.accumulator: held}
        if self.fold.second:
            values[self.fold.variable], values[self.fold.second] = item
        else:
            values[self.fold.variable] = item
        goes_on, fault = evaluate(self.fold.condition, values, self.meter, gathers_long=self.gathers_long)
        if fault is not None or not goes_on:
            return held, fault
        return evaluate(self.fold.step, values, self.meter, gathers_long=self.gathers_long)


def _gathers(node: Expr) -> bool:
    if not isinstance(node, Fold):
        return False
    made = node.initial
    return (isinstance(made, ListExpr) and not made.elements) or (
        isinstance(made, MapExpr) and not made.entries
    )


def _items(over: Any, *, is_pair: bool) -> list[Any]:
    if isinstance(over, dict):
        return list(over.items()) if is_pair else list(over)
    return list(enumerate(over)) if is_pair else list(over)
