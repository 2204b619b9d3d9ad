"""What an expression costs at worst, from sizes that declarations or the data give. Pure.

The figures decide which rules a definition may hold, so they are cel-go's and Kubernetes' to the unit, with
what those forget. Costs and sizes are pairs of least and most; the most saturates.

Source: cel-go checker/cost.go, common/cost.go; ext/lists.go, ext/sets.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from nanokube.api.cel import call_costs
from nanokube.api.cel.call_costs import MAX, TRAVERSAL, UNKNOWN, Pair, add, times_factor, union
from nanokube.api.cel.check import Checked
from nanokube.api.cel.syntax import Call, Const, Expr, Fold, Ident, ListExpr, MapExpr, Select, Struct
from nanokube.api.cel.types import Type

Path = tuple[str, ...]
SizeOf = Callable[[Path], Pair | None]

_ONE: Final = (1, 1)
_NOTHING: Final = (0, 0)
_NEW_LIST, _NEW_MAP, _NEW_STRUCT = 10, 30, 40
_SCALARS = frozenset({"bool", "double", "duration", "int", "timestamp", "uint"})
_COMPARED_BY_LENGTH = ("less", "greater", "less_equals", "greater_equals")
_BY_LENGTH = frozenset(
    {f"{name}_{kind}" for name in _COMPARED_BY_LENGTH for kind in ("string", "bytes")}
    | {"equals", "not_equals"}
)


@dataclasses.dataclass(frozen=True, slots=True)
class Entries:
    """Sizes of keys and values of a list or map that the expression makes."""

    is_list: bool
    key: Pair
    value: Pair


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """cost: (least, most). size: of the result, if known. loops: most that one turn costs, by loop.

    longest: most turns of a loop that gathers a list or map.
    """

    cost: Pair
    size: Pair | None
    loops: Mapping[int, int]
    longest: int


@dataclasses.dataclass(slots=True)
class _Local:
    path: Path
    size: Pair | None
    entries: Entries | None


def declared_sizes(variables: Mapping[str, Type]) -> SizeOf:
    """Make a lookup of sizes as declarations bound them."""

    def size_of(path: Path) -> Pair | None:
        node: Type | None = variables.get(path[0])
        if node is not None and node.kind == "opaque" and node.params:
            node = node.params[0]
        if node is None or node.kind == "dyn":
            return None
        for name in path[1:]:
            node = _below(node, name)
            if node is None:
                return None
        return 0, max(node.max_elements, 0)

    return size_of


def _below(node: Type, name: str) -> Type | None:
    if name in ("@items", "@values"):
        return node.params[-1] if node.kind in ("list", "map") else None
    if name == "@keys":
        return dataclasses.replace(node.params[0], max_elements=0) if node.kind == "map" else None
    return (node.fields or {}).get(name)


def estimate(
    checked: Checked,
    size_of: SizeOf,
    *,
    unknown: Pair = UNKNOWN,
    is_runtime: bool = False,
    without_loops: bool = False,
) -> Estimate:
    """Estimate a checked expression.

    size_of: what is known of a variable's part, by path.
    unknown: the size of what nothing is known of.
    is_runtime: bound what evaluation does, where the rules for definitions charge less.
    without_loops: count one turn of no loop; `Estimate.loops` has the turns.
    """
    coster = Coster(checked, size_of, unknown, is_runtime=is_runtime, without_loops=without_loops)
    cost = coster.cost(checked.root)
    return Estimate(cost, coster.size(checked.root), coster.loops, coster.longest)


class Coster:
    """One walk over a tree."""

    def __init__(
        self, checked: Checked, size_of: SizeOf, unknown: Pair, *, is_runtime: bool, without_loops: bool
    ) -> None:
        self.checked = checked
        self.size_of = size_of
        self.unknown = unknown
        self.is_runtime = is_runtime
        self.without_loops = without_loops
        self.loops: dict[int, int] = {}
        self.longest = 0
        self.paths: dict[int, Path] = {}
        self.sizes: dict[int, Pair] = {}
        self.entries: dict[int, Entries] = {}
        self.locals: dict[str, list[_Local]] = {}

    def cost(self, node: Expr) -> Pair:
        """Cost a node and what is below it, remembering sizes and paths."""
        match node:
            case Const():
                return _NOTHING
            case Ident():
                local = self.local(node.name)
                self.paths[node.id] = local.path if local is not None else (node.name,)
                return _ONE
            case Select():
                return self.select(node)
            case Call():
                return self.call(node)
            case ListExpr():
                return self.list_literal(node)
            case MapExpr():
                return self.map_literal(node)
            case Struct():
                return self.sum([entry.value for entry in node.entries], _NEW_STRUCT)
            case Fold():
                return self.bind(node) if _is_bind(node) else self.fold(node)

    def sum(self, nodes: list[Expr], base: int) -> Pair:
        total: Pair = (base, base)
        for node in nodes:
            total = add(total, self.cost(node))
        return total

    def select(self, node: Select) -> Pair:
        total = self.cost(node.operand)
        if node.test:
            return total  # has() is free in Kubernetes
        kind = self.type(node.operand).kind
        if kind in ("map", "struct", "param") or self.is_runtime:
            total = add(total, _ONE)
        self.paths[node.id] = (*self.path(node.operand), node.field)
        return total

    def list_literal(self, node: ListExpr) -> Pair:
        total = self.sum(node.elements, _NEW_LIST)
        self.entries[node.id] = Entries(True, _ONE, self.widest(node.elements))
        return total

    def map_literal(self, node: MapExpr) -> Pair:
        total = self.sum([part for entry in node.entries for part in (entry.key, entry.value)], _NEW_MAP)
        keys = self.widest([entry.key for entry in node.entries])
        values = self.widest([entry.value for entry in node.entries])
        self.entries[node.id] = Entries(False, keys, values)
        return total

    def widest(self, nodes: list[Expr]) -> Pair:
        size: Pair = (MAX, 0) if nodes else _NOTHING
        for node in nodes:
            size = union(size, self.size_or_unknown(node))
        return size

    def fold(self, node: Fold) -> Pair:
        total = add(self.cost(node.range), self.cost(node.initial))
        self.push(
            node.accumulator, self.path(node.initial), self.size(node.initial), self.entry(node.initial)
        )
        over = self.entry(node.range)
        is_list = over.is_list if over is not None else self.is_list(node.range)
        keys = over.key if over is not None else None
        values = over.value if over is not None else None
        path = self.path(node.range)
        if node.second:
            self.push(node.variable, (*path, "@indices" if is_list else "@keys"), keys, None)
            self.push(node.second, (*path, "@items" if is_list else "@values"), values, None)
        else:
            self.push(
                node.variable, (*path, "@items" if is_list else "@keys"), values if is_list else keys, None
            )
        turn = add(self.cost(node.condition), self.cost(node.step))
        self.locals[node.variable].pop()
        if node.second:
            self.locals[node.second].pop()
        total = add(total, self.cost(node.result))
        self.locals[node.accumulator].pop()
        count = self.size_or_unknown(node.range)
        self.loops[node.id] = turn[1]
        if not self.without_loops:
            total = add(total, (count[0] * turn[0], min(count[1] * turn[1], MAX)))
        self.size_of_fold(node, count)
        return total

    def is_list(self, over: Expr) -> bool:
        kind = self.type(over).kind
        if kind == "dyn" and self.is_runtime:  # the data tells
            return self.size_of((*self.path(over), "@items")) is not None
        return kind == "list"

    def size_of_fold(self, node: Fold, count: Pair) -> None:
        if isinstance(node.initial, Const):
            size = self.size(node.initial)
            if size is not None:
                self.sizes[node.id] = size
        elif isinstance(node.initial, ListExpr | MapExpr):
            self.sizes[node.id] = count
            self.longest = max(self.longest, count[1])
            made = self.entry(node.step)
            if made is not None:
                self.entries[node.id] = made

    def bind(self, node: Fold) -> Pair:
        total = add(self.cost(node.range), self.cost(node.initial))
        self.push(
            node.accumulator, self.path(node.initial), self.size(node.initial), self.entry(node.initial)
        )
        total = add(total, self.cost(node.result))
        size, entries = self.size(node.result), self.entry(node.result)
        self.locals[node.accumulator].pop()
        self.keep(node, size, entries)
        return total

    def call(self, node: Call) -> Pair:
        if node.function == "dyn":
            total = add(_ONE, self.cost(node.args[0]))
            self.keep(node, self.size(node.args[0]), self.entry(node.args[0]))
            return total
        costs = [self.cost(arg) for arg in node.args]
        total = _NOTHING if node.target is None else self.cost(node.target)
        widest: Pair = (MAX, 0)
        size: Pair | None = None
        for overload in self.checked.overloads.get(node.id, ()):
            cost, made = self.overload(node, overload, costs)
            widest = union(widest, cost)
            if made is not None:
                size = made if size is None else union(size, made)
            if overload in ("index_list", "index_map"):
                held = self.entry(node.args[0])
                size = held.value if held is not None else None
                step = "@items" if overload == "index_list" else "@values"
                self.paths[node.id] = (*self.path(node.args[0]), step)
            if size is None:
                size = self.size(node)
        if size is not None:
            self.sizes[node.id] = size
        return add(total, widest if widest[0] <= widest[1] else _NOTHING)

    def overload(self, node: Call, overload: str, costs: list[Pair]) -> tuple[Pair, Pair | None]:
        """Cost one overload with its arguments, and the size of its result."""
        of_args = _NOTHING
        for cost in costs:
            of_args = add(of_args, cost)
        known = call_costs.known(self, node, overload)
        if known is not None:
            return add(known[0], of_args), known[1]
        if overload in ("logical_or", "logical_and"):
            return (costs[0][0], add(costs[0], costs[1])[1]), None
        if overload == "conditional":
            return self.conditional(node, costs)
        if overload in ("add_string", "add_bytes", "add_list"):
            return self.concatenation(node, overload, of_args)
        if overload in _BY_LENGTH:
            most = min(self.size_or_unknown(arg)[1] for arg in node.args)
            compared = times_factor((1 if most > 0 else 0, most), TRAVERSAL)
            return add(compared, of_args), None
        return add(_ONE, of_args), None

    def conditional(self, node: Call, costs: list[Pair]) -> tuple[Pair, Pair | None]:
        left, right = self.entry(node.args[1]), self.entry(node.args[2])
        if left is not None and right is not None:
            self.entries[node.id] = _union(left, right)
        size = union(self.size_or_unknown(node.args[1]), self.size_or_unknown(node.args[2]))
        return add(costs[0], union(costs[1], costs[2])), size

    def concatenation(self, node: Call, overload: str, of_args: Pair) -> tuple[Pair, Pair | None]:
        left, right = node.args
        size = add(self.size_or_unknown(left), self.size_or_unknown(right))
        entries = self.entry(left), self.entry(right)
        if entries[0] is not None and entries[1] is not None:
            self.entries[node.id] = _union(entries[0], entries[1])
        cost = _ONE if overload == "add_list" else times_factor(size, TRAVERSAL)
        return add(cost, of_args), size

    # --- what is known of nodes

    def type(self, node: Expr) -> Type:
        return self.checked.types[node.id]

    def local(self, name: str) -> _Local | None:
        stack = self.locals.get(name)
        return stack[-1] if stack else None

    def push(self, name: str, path: Path, size: Pair | None, entries: Entries | None) -> None:
        self.locals.setdefault(name, []).append(_Local(path, size, entries))

    def path(self, node: Expr) -> Path:
        if isinstance(node, Ident):
            local = self.local(node.name)
            if local is not None:
                return local.path
        return self.paths.get(node.id, ())

    def keep(self, node: Expr, size: Pair | None, entries: Entries | None) -> None:
        if size is not None:
            self.sizes[node.id] = size
        if entries is not None:
            self.entries[node.id] = entries

    def entry(self, node: Expr) -> Entries | None:
        if node.id in self.entries:
            return self.entries[node.id]
        local = self.local(node.name) if isinstance(node, Ident) else None
        return local.entries if local is not None else None

    def element_size(self, node: Expr) -> Pair:
        """Size of what a list holds, as declared."""
        path = self.path(node)
        found = self.size_of((*path, "@items")) if path else None
        return self.unknown if found is None else found

    def size_or_unknown(self, node: Expr) -> Pair:
        found = self.size(node)
        return self.unknown if found is None else found

    def size(self, node: Expr) -> Pair | None:
        """Size of a node's value: by its text, its path, its type, or its variable."""
        if node.id in self.sizes:
            return self.sizes[node.id]
        exact = _exact(node)
        if exact is not None:
            return exact, exact
        path = self.path(node)
        found = self.size_of(path) if path and not path[0].startswith("@") else None
        if found is not None:
            self.sizes[node.id] = found
            return found
        if _is_scalar(self.type(node)):
            return _ONE
        local = self.local(node.name) if isinstance(node, Ident) else None
        return local.size if local is not None else None


def _is_bind(node: Fold) -> bool:
    return (
        isinstance(node.range, ListExpr)
        and not node.range.elements
        and isinstance(node.condition, Const)
        and node.condition.value is False
        and node.accumulator != "__result__"
    )


def _exact(node: Expr) -> int | None:
    match node:
        case Const():
            return len(node.value) if node.kind in ("string", "bytes") else 1
        case ListExpr():
            return len(node.elements)
        case MapExpr():
            return len(node.entries)
    return None


def _is_scalar(given: Type) -> bool:
    if given.kind == "opaque" and given.name == "optional_type":
        return _is_scalar(given.params[0])
    return given.kind in _SCALARS


def _union(left: Entries, right: Entries) -> Entries:
    return Entries(left.is_list, union(left.key, right.key), union(left.value, right.value))
