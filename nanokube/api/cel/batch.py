"""Conditions evaluated together: which of many are certainly false, at little more than the price of one.

The answer "false" is exact: evaluated alone, that condition is false too, within its budget. What is left is
true or an error, and evaluated alone by those who want to know; messages and charges are theirs.

So that nothing dear runs here, each condition is bounded by the sizes of what it reads, as when it is alone;
bounds are kept by those sizes, rounded up to powers of four.

State: what was compiled and found out before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from nanokube.api import steps
from nanokube.api.cel import costs, lower, merge, runtime, syntax
from nanokube.api.cel.call_costs import Pair
from nanokube.api.cel.costs import Path
from nanokube.api.cel.environment import Activation, Program
from nanokube.api.cel.syntax import Call, Expr, ListExpr
from nanokube.api.steps import Steps

CHEAP: Final = 10_000  # units of cost a condition; the limit of one evaluation is a hundred times as much
_USUAL: Final = 31  # the size of everything, by which it is decided what is dear
_ANY: Final = 1 << 40
_KEPT: Final = 256  # combinations of sizes

Sizes = tuple[int | None, ...]


class Batch:
    """members: expressions of which all must hold, of each condition; none may use composed variables."""

    def __init__(self, members: Sequence[Sequence[Program]]) -> None:
        steps.finish(self._prepare(members))

    @classmethod
    def made(cls, members: Sequence[Sequence[Program]]) -> Steps[Self]:
        """Make one in steps."""
        batch = cls.__new__(cls)
        yield from batch._prepare(members)
        return batch

    def _prepare(self, members: Sequence[Sequence[Program]]) -> Steps[None]:
        self._members = members
        paths: dict[Path, None] = {}

        def usual(path: Path) -> Pair | None:
            paths[path] = None
            return 0, _USUAL

        is_cheap = []
        # whether there are sizes that no path gives, so that anything may be as large as the whole
        self.is_open = False
        for programs in members:
            cost = _cost(programs, usual, _USUAL)
            is_cheap.append(cost <= CHEAP)
            self.is_open = self.is_open or cost != _cost(programs, usual, _ANY)
            yield
        self._together = [number for number, cheap in enumerate(is_cheap) if cheap]
        self.alone = [number for number, cheap in enumerate(is_cheap) if not cheap]
        self.paths = list(paths)
        self._bounded: dict[Sizes, bool] = {}
        self.tree = merge.any_of(self._trees()) if self._together else None  # false if all are
        yield
        self._any = None if self.tree is None else (yield from _loading(self.tree))
        self._each: Any = None

    @property
    def size(self) -> int:
        """Count the nodes of its tree."""
        return 0 if self.tree is None else sum(1 for _ in syntax.walk(self.tree))

    def _trees(self) -> list[Expr]:
        return [merge.all_of([program.tree for program in self._members[n]]) for n in self._together]

    def undecided(self, bound: Activation) -> Sequence[int]:
        """List the members that are not certainly false."""
        if self._any is None:
            return self.alone
        if not self.is_bounded(bound):
            return range(len(self._members))
        if runtime.evaluate(self._any, bound.native) == (False, None):
            return self.alone
        if self._each is None:
            self._each = _load(_each([merge.with_patterns(tree) for tree in self._trees()]))
        values, _ = runtime.evaluate(self._each, bound.native)
        if values is None:
            return range(len(self._members))
        found = (number for number, value in zip(self._together, values, strict=True) if value is not False)
        return [*self.alone, *found]

    def is_bounded(self, bound: Activation) -> bool:
        """Tell whether everything that is evaluated together is cheap over such values."""
        sizes: Sizes = tuple([_size_of(bound, path) for path in self.paths])
        key = (_rounded(bound.weight) if self.is_open or None in sizes else None, *sizes)
        known = self._bounded.get(key)
        if known is None:
            if len(self._bounded) >= _KEPT:
                self._bounded.clear()
            known = self._bounded[key] = self._bound(key)
        return known

    def _bound(self, key: Sizes) -> bool:
        weight, *rest = key
        sizes: Mapping[Path, int | None] = dict(zip(self.paths, rest, strict=True))

        def size_of(path: Path) -> Pair | None:
            size = sizes.get(path)
            return None if size is None else (0, size)

        unknown = _ANY if weight is None else weight
        return all(_cost(self._members[number], size_of, unknown) <= CHEAP for number in self._together)


class Together:
    """Several batches at once."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        steps.finish(self._prepare(batches))

    @classmethod
    def made(cls, batches: Sequence[Batch]) -> Steps[Self]:
        """Make one in steps."""
        together = cls.__new__(cls)
        yield from together._prepare(batches)
        return together

    def _prepare(self, batches: Sequence[Batch]) -> Steps[None]:
        self._batches = batches
        self._paths = list(dict.fromkeys(path for batch in batches for path in batch.paths))
        self._is_open = any(batch.is_open for batch in batches)
        self._bounded: dict[Sizes, bool] = {}
        trees = [batch.tree for batch in batches if batch.tree is not None]
        self._any = None
        if trees:
            tree = merge.any_of(trees)
            yield
            self._any = yield from _loading(tree)

    def is_false(self, bound: Activation) -> bool:
        """Tell whether every member of theirs is certainly false, but for those that are left alone."""
        if self._any is None:
            return True
        sizes: Sizes = tuple([_size_of(bound, path) for path in self._paths])
        key = (_rounded(bound.weight) if self._is_open or None in sizes else None, *sizes)
        is_bounded = self._bounded.get(key)
        if is_bounded is None:
            if len(self._bounded) >= _KEPT:
                self._bounded.clear()
            is_bounded = self._bounded[key] = all(batch.is_bounded(bound) for batch in self._batches)
        if not is_bounded:
            return False
        return runtime.evaluate(self._any, bound.native) == (False, None)


def _cost(programs: Sequence[Program], size_of: costs.SizeOf, unknown: int) -> int:
    """Bound what expressions cost together."""
    return sum(
        costs.estimate(program.checked, size_of, unknown=(0, unknown), is_runtime=True).cost[1]
        for program in programs
    )


def _size_of(bound: Activation, path: Path) -> int | None:
    size = bound.size_of(path)
    return None if size is None else _rounded(size[1])


def _rounded(size: int) -> int:
    """Round up to a power of four, less one."""
    return (1 << (size.bit_length() + 1 & ~1)) - 1


def _each(trees: Sequence[Expr]) -> Expr:
    """Build the list of which are not certainly false."""
    return ListExpr(0, [Call(0, None, "@not_strictly_false", [tree]) for tree in trees])


def _load(tree: Expr) -> Any:
    return steps.finish(_loading(tree))


def _loading(tree: Expr) -> Steps[Any]:
    shared = merge.shared(tree)
    yield
    encoded = syntax.encode(lower.renumbered(shared))
    yield
    return runtime.load(encoded)
