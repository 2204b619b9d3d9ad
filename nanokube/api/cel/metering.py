"""Holding an evaluation to its budget. State: what the evaluation at hand of each thread has spent.

The runtime counts no cost. So an expression is bounded before it runs, by the sizes of what it runs over; if
the bound is too high it runs with a meter in each of its loops, which ends them when the budget is spent.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any

from nanokube.api.cel.costs import Path
from nanokube.api.cel.syntax import Call, Const, Expr, Fold, ListExpr, rebuild

TICK = "nk_@tick"  # as `runtime` registers it


@dataclasses.dataclass(slots=True)
class Meter:
    """What may be spent and has been. turns: what one turn of each loop costs."""

    limit: int
    spent: int
    turns: Mapping[tuple[str, int], int]

    def tick(self, name: str, loop: int) -> bool:
        """Pay for a turn; False when the budget is spent."""
        self.spent += self.turns.get((name, loop), 1)
        return self.spent <= self.limit

    @property
    def is_exceeded(self) -> bool:
        """Whether more was spent than may be."""
        return self.spent > self.limit


class _Running(threading.local):
    def __init__(self) -> None:
        self.meters: list[Meter] = []


_running = _Running()


class metered:
    """Count the turns of loops in this thread's evaluations by a meter."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def __enter__(self) -> Meter:
        _running.meters.append(self.meter)
        return self.meter

    def __exit__(self, *_: object) -> None:
        _running.meters.pop()


def tick(name: str, loop: int) -> bool:
    """Pay for a turn of a loop; what loops call in metered trees."""
    return _running.meters[-1].tick(name, loop) if _running.meters else True


def with_meters(node: Expr, name: str) -> Expr:
    """Make every loop pay for its turns, by the program's name and its node's id, and end when it cannot."""
    changed = rebuild(node, lambda child: with_meters(child, name))
    if not isinstance(changed, Fold) or (
        isinstance(changed.condition, Const) and not changed.condition.value
    ):
        return changed
    args: list[Expr] = [Const(0, "string", name), Const(0, "int", changed.id)]
    paid = Call(0, None, TICK, [ListExpr(0, args)])
    return dataclasses.replace(changed, condition=Call(0, None, "_&&_", [paid, changed.condition]))


def size_at(values: Mapping[str, Any], path: Path) -> int | None:
    """Measure the largest of what is at a path, strings in characters, as CEL's size(); None if nothing is.

    path: fields, @items of lists; at its end @keys or @values of maps.
    """
    found: list[Any] = [values]
    for name in path:
        if name == "@items":
            found = [item for each in found if isinstance(each, list) for item in each]
        elif name == "@keys":
            found = [[_length(key) for key in each] for each in found if isinstance(each, dict)]
        elif name == "@values":
            found = [[_length(item) for item in each.values()] for each in found if isinstance(each, dict)]
        else:
            found = [each[name] for each in found if isinstance(each, dict) and name in each]
        if not found:
            return None
    if path[-1] in ("@keys", "@values"):
        return max(max(each, default=0) for each in found)
    return max(map(_length, found))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | dict) else 1


def weight(values: Mapping[str, Any]) -> int:
    """Bound the size of anything in values: all characters, elements and entries together."""
    return sum(map(_weigh, values.values()))


def _weigh(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        total = len(value)
        for key, item in value.items():
            total += len(str(key)) + (len(item) if type(item) is str else _weigh(item))
        return total
    return len(value) + sum(map(_weigh, value)) if isinstance(value, list) else 1
