"""Compiling expressions, and evaluating them within a budget. Pure.

Source of limits: k8s.io/apiserver/pkg/apis/cel/config.go,
apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from nanokube.api.cel import (
    call_costs,
    check,
    convert,
    costs,
    declarations,
    errors,
    escaping,
    lower,
    macros,
    metering,
    pieces,
    runtime,
    syntax,
    types,
)
from nanokube.api.cel.errors import BudgetExceeded, CompileError, EvaluationError, ResultTypeError
from nanokube.api.cel.library import authorization, regexes
from nanokube.api.cel.syntax import Call, Const, Expr, Ident, ListExpr
from nanokube.api.cel.types import Type

PER_CALL_LIMIT: Final = 1_000_000  # one evaluation
RUNTIME_BUDGET: Final = 10_000_000  # all rules of one object, or all of one policy binding
MATCH_CONDITIONS_BUDGET: Final = 2_500_000  # all matchConditions of one webhook or binding
PER_EXPRESSION_ESTIMATE: Final = 10_000_000  # what one rule of a definition may cost at worst
PER_DEFINITION_ESTIMATE: Final = 100_000_000  # what all its rules may cost at worst
MAX_MESSAGE_BYTES: Final = 5 * 1024  # what a messageExpression may give

_VARIABLES = "variables"
_EXCEEDED = "operation cancelled: actual cost limit exceeded"
_CHEAP = 10_000  # below, the bound over the whole data is close enough to be charged
_LONG = 500  # the runtime copies the list it gathers at every turn
_UNBOUNDED = call_costs.MAX


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What an evaluation gave and what it cost."""

    value: Any
    cost: int


class Environment:
    """What expressions may refer to: typed variables, and all functions of Kubernetes v1.36.

    structs: types that expressions may construct, by name (`Object`, `Object.spec`, `JSONPatch`).
    json_patch: with jsonpatch.escapeKey, as mutations have.
    bindings: with cel.bind, as selectors of devices have.
    """

    def __init__(
        self,
        variables: Mapping[str, Type],
        *,
        structs: Mapping[str, Type] | None = None,
        json_patch: bool = False,
        bindings: bool = False,
    ) -> None:
        self.variables = dict(variables)
        self.structs = {
            t.name: t for t in (*types.VALUE_TYPES, *types.AUTHORIZER_TYPES) if t.kind == "struct"
        }
        self.structs |= structs or {}
        self.functions = declarations.functions(json_patch=json_patch)
        self.bindings = bindings
        self.composed: dict[str, Program] = {}

    def compose(self, name: str, program: Program) -> Environment:
        """Add `variables.name`: another expression, evaluated when it is first read and then kept."""
        added = object.__new__(Environment)
        added.functions, added.structs, added.bindings = self.functions, self.structs, self.bindings
        added.composed = {**self.composed, name: program}
        fields = {known: value.type for known, value in added.composed.items()}
        added.variables = {**self.variables, _VARIABLES: types.struct("kubernetes.variableMap", fields)}
        return added

    def compile(self, source: str, *, returns: Type | Sequence[Type] = types.DYN) -> Program:
        """Parse and check an expression.

        returns: the types that it may have; DYN stands for any.
        Raises CompileError; of it ResultTypeError for another type.
        """
        checked = self._check(source)
        wanted = (returns,) if isinstance(returns, Type) else tuple(returns)
        found = checked.types[checked.root.id]
        if not any(item.kind == "dyn" or item == found for item in wanted):
            raise ResultTypeError(wanted, found)
        return Program(self, source, checked, found)

    def _check(self, source: str) -> check.Checked:
        try:
            root, located = syntax.decode(runtime.parse(source, bindings=self.bindings), source)
        except runtime.SyntaxFault as err:
            raise CompileError(str(err)) from err
        root, issues = macros.expand(root, located)
        if issues:
            raise CompileError(errors.display(issues, located))
        checked = check.check(root, self.variables, self.functions, self.structs.get)
        found = checked.issues or check.literals(checked, _is_valid_literal)
        if found:
            raise CompileError(errors.display(found, located))
        return checked


@dataclasses.dataclass(frozen=True, slots=True)
class Bound:
    """What an evaluation costs at most.

    turns: what one turn of each loop does, by program and node.
    longest: most turns of a loop that gathers a list or map.
    """

    most: int
    turns: Mapping[tuple[str, int], int]
    longest: int


class Program:
    """A compiled expression. type: what it gives."""

    def __init__(self, environment: Environment, source: str, checked: check.Checked, result: Type) -> None:
        self.source = source
        self.type = result
        self.checked = checked
        self.variables = environment.variables
        self.composed: dict[str, Program] = {}
        self.tree = lower.lower(checked, self._rename(environment))
        self._bounds: dict[int, int] = {}
        self._expressions: dict[bool, Any] = {}

    def _rename(self, environment: Environment) -> Callable[[str, str], str | None]:
        def rename(variable: str, field: str) -> str | None:
            if variable != _VARIABLES or field not in environment.composed:
                return None
            program = environment.composed[field]
            self.composed |= {**program.composed, field: program}
            return f"{_VARIABLES}.{field}"

        return rename

    def _whole(self, *, is_metered: bool) -> Expr:
        """The tree with the variables it reads, which are evaluated when first read, in a block."""
        programs = {**self.composed, "": self}
        trees = {
            name: metering.with_meters(program.tree, name) if is_metered else program.tree
            for name, program in programs.items()
        }
        body = trees.pop("")
        if _is_optional(self.type):
            body = ListExpr(0, [body], frozenset({0}))  # an optional cannot leave the runtime
        if not trees:
            return body
        names = {f"{_VARIABLES}.{name}": f"@index{i}" for i, name in enumerate(trees)}
        bound: list[Expr] = [renamed(tree, names) for tree in trees.values()]
        return Call(0, None, "cel.@block", [ListExpr(0, bound), renamed(body, names)])

    def _expression(self, *, is_metered: bool) -> Any:
        if is_metered not in self._expressions:
            tree = self._whole(is_metered=is_metered)
            self._expressions[is_metered] = runtime.load(syntax.encode(lower.renumbered(tree)))
        return self._expressions[is_metered]

    def cost(self) -> tuple[int, int]:
        """Estimate (least, most) from what the variables' declarations allow."""
        return costs.estimate(self.checked, costs.declared_sizes(self.variables)).cost

    def _estimate(self, lookup: costs.SizeOf, unknown: int, *, without_loops: bool = False) -> Bound:
        """Bound an evaluation, with the variables that it reads, each once."""
        results: dict[str, tuple[int, int] | None] = {}

        def size_of(path: costs.Path) -> tuple[int, int] | None:
            if path[0] == _VARIABLES:
                return results.get(path[1]) if len(path) == 2 else None
            return lookup(path)

        total, longest, most = 0, 0, unknown
        loops: dict[tuple[str, int], int] = {}
        for name, program in (*self.composed.items(), ("", self)):
            found = costs.estimate(
                program.checked, size_of, unknown=(0, most), is_runtime=True, without_loops=without_loops
            )
            results[name] = found.size
            most = max(most, found.size[1] if found.size else 0)
            total += found.cost[1]
            longest = max(longest, found.longest)
            loops |= {(name, loop): turn for loop, turn in found.loops.items()}
        return Bound(min(total, call_costs.MAX), loops, longest)

    def bound(self, largest: int) -> int:
        """Bound the cost over data that holds nothing larger than `largest`, rounded up to a power of two."""
        step = largest.bit_length()
        if step not in self._bounds:
            self._bounds[step] = self._estimate(lambda _: None, min((1 << step) - 1, call_costs.MAX)).most
        return self._bounds[step]

    def evaluate(self, activation: Activation | Mapping[str, object], budget: int = RUNTIME_BUDGET) -> Result:
        """Evaluate over bound variables.

        budget: what is left to spend; one evaluation never spends more than PER_CALL_LIMIT.
        Raises EvaluationError, BudgetExceeded.
        """
        bound = activation if isinstance(activation, Activation) else Activation(activation)
        limit = min(budget, PER_CALL_LIMIT)
        spent = self.bound(_UNBOUNDED)
        if spent > min(limit, _CHEAP):
            spent = self.bound(bound.weight)
        if spent > min(limit, _CHEAP):
            return self._evaluate_bounded(bound, limit, budget)
        return Result(self._run(bound), spent)

    def _evaluate_bounded(self, bound: Activation, limit: int, left: int) -> Result:
        """Evaluate what may be dear: bounded by the sizes of the data, or else with meters."""
        found = self._estimate(bound.size_of, bound.weight)
        gathers_long = found.longest > _LONG
        if found.most <= limit:
            return Result(self._run(bound, gathers_long=gathers_long), found.most)
        flat = self._estimate(bound.size_of, bound.weight, without_loops=True)
        meter = metering.Meter(limit, flat.most, flat.turns)
        if meter.is_exceeded:
            raise BudgetExceeded(_EXCEEDED)
        with metering.metered(meter):
            value = self._run(bound, meter, gathers_long=gathers_long)
        return Result(value, meter.spent)

    def _run(
        self, bound: Activation, meter: metering.Meter | None = None, *, gathers_long: bool = False
    ) -> Any:
        is_metered = meter is not None
        value, fault = None, None
        in_pieces = gathers_long
        spent = meter.spent if meter is not None else 0
        if not in_pieces:
            value, fault = runtime.evaluate(self._expression(is_metered=is_metered), bound.native)
            in_pieces = fault is not None and runtime.is_iteration_limit(fault)
        if in_pieces:
            if meter is not None:
                meter.spent = spent  # the first attempt came to nothing
            value, fault = pieces.evaluate(
                self._whole(is_metered=is_metered),
                bound.values,
                meter,
                gathers_long=gathers_long,
            )
        if fault == pieces.TOO_LARGE or (meter is not None and meter.is_exceeded):
            raise BudgetExceeded(_EXCEEDED)
        if fault is not None:
            raise EvaluationError(fault)
        value = runtime.from_native(value)
        if _is_optional(self.type):
            return value[0] if value else None
        return value


class Activation:
    """Variables bound to values; what is converted once serves every program.

    declared: types of variables, for those whose JSON must be converted (times, bytes, numbers).
    A callable is an authorizer (`library.authorization.Authorize`).
    """

    def __init__(self, values: Mapping[str, object], declared: Mapping[str, Type] | None = None) -> None:
        self.values: dict[str, Any] = {}
        for name, value in values.items():
            self.values[name] = self._bind(value, (declared or {}).get(name))
        self._native: Any = None
        self._sizes: dict[costs.Path, tuple[int, int] | None] = {}

    def _bind(self, value: Any, declared: Type | None) -> Any:
        if callable(value):
            lent, key = authorization.lend(value)
            weakref.finalize(self, authorization.take_back, key)
            return runtime.to_native(lent)
        change = convert.converter(declared) if declared is not None else None
        return change(value) if change is not None else value

    @functools.cached_property
    def weight(self) -> int:
        """No string, list or map in the values is larger."""
        return metering.weight(self.values)

    def size_of(self, path: costs.Path) -> tuple[int, int] | None:
        """The largest size of what is at a path; fields as expressions name them."""
        try:
            return self._sizes[path]
        except KeyError:
            size = metering.size_at(self.values, path)
            if size is None and any("__" in name for name in path):
                size = metering.size_at(self.values, tuple(escaping.unescape(n) or n for n in path))
            found = self._sizes[path] = None if size is None else (0, size)
            return found

    @property
    def native(self) -> Any:
        """The runtime's form, made when first asked for."""
        if self._native is None:
            self._native = runtime.activation(self.values)
        return self._native


def renamed(node: Expr, names: Mapping[str, str]) -> Expr:
    """Copy a tree with identifiers renamed."""
    if isinstance(node, Ident):
        return dataclasses.replace(node, name=names.get(node.name, node.name))
    return syntax.rebuild(node, lambda child: renamed(child, names))


def _is_optional(given: Type) -> bool:
    return given.kind == "opaque" and given.name == "optional_type"


def _is_valid_literal(function: str, arg: Const) -> bool:
    if function == "matches":
        return arg.kind != "string" or regexes.error(arg.value) is None
    expression = runtime.load(syntax.encode(Call(1, None, function, [dataclasses.replace(arg, id=2)])))
    return runtime.evaluate(expression, runtime.activation({}))[1] is None
