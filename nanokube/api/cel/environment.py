"""Compiling expressions, and evaluating them within a budget. Pure.

Source of limits: k8s.io/apiserver/pkg/apis/cel/config.go,
apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nanokube.api.cel import (
    check,
    convert,
    declarations,
    errors,
    lower,
    macros,
    runtime,
    syntax,
    types,
)
from nanokube.api.cel.errors import CompileError, EvaluationError
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
        Raises CompileError.
        """
        checked = self._check(source)
        wanted = (returns,) if isinstance(returns, Type) else tuple(returns)
        found = checked.types[checked.root.id]
        if not any(item.kind == "dyn" or item == found for item in wanted):
            names = " or ".join(str(item) for item in wanted)
            raise CompileError(f"must evaluate to {names}")
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


class Program:
    """A compiled expression. type: what it gives."""

    def __init__(self, environment: Environment, source: str, checked: check.Checked, result: Type) -> None:
        self.source = source
        self.type = result
        self.checked = checked
        self.composed: dict[str, Program] = {}
        self.tree = lower.lower(checked, self._rename(environment))
        self._loaded: Any = None

    def _rename(self, environment: Environment) -> Any:
        def rename(variable: str, field: str) -> str | None:
            if variable != _VARIABLES or field not in environment.composed:
                return None
            program = environment.composed[field]
            self.composed |= {**program.composed, field: program}
            return f"{_VARIABLES}.{field}"

        return rename

    @property
    def expression(self) -> Any:
        """The runtime's form, made when first asked for."""
        if self._loaded is None:
            self._loaded = runtime.load(syntax.encode(lower.renumbered(self._whole())))
        return self._loaded

    def _whole(self) -> Expr:
        """The tree with the variables it reads, which are evaluated when first read, in a block."""
        body = self.tree
        if self.type.kind == "opaque" and self.type.name == "optional_type":
            body = ListExpr(0, [body], frozenset({0}))  # an optional cannot leave the runtime
        if not self.composed:
            return body
        names = {f"{_VARIABLES}.{name}": f"@index{i}" for i, name in enumerate(self.composed)}
        bound = [_renamed(program.tree, names) for program in self.composed.values()]
        return Call(0, None, "cel.@block", [ListExpr(0, bound), _renamed(body, names)])

    def evaluate(self, activation: Activation | Mapping[str, object], budget: int = PER_CALL_LIMIT) -> Result:
        """Evaluate over bound variables.

        budget: what is left to spend; one evaluation never spends more than PER_CALL_LIMIT.
        Raises EvaluationError, BudgetExceeded.
        """
        bound = activation if isinstance(activation, Activation) else Activation(activation)
        value, fault = runtime.evaluate(self.expression, bound.native)
        if fault is not None:
            raise EvaluationError(fault)
        value = runtime.from_native(value)
        if self.type.kind == "opaque" and self.type.name == "optional_type":
            value = value[0] if value else None
        return Result(value, 1)


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

    def _bind(self, value: Any, declared: Type | None) -> Any:
        if callable(value):
            lent, key = authorization.lend(value)
            weakref.finalize(self, authorization.take_back, key)
            return runtime.to_native(lent)
        change = convert.converter(declared) if declared is not None else None
        return change(value) if change is not None else value

    @property
    def native(self) -> Any:
        """The runtime's form, made when first asked for."""
        if self._native is None:
            self._native = runtime.activation(self.values)
        return self._native


def _renamed(node: Expr, names: Mapping[str, str]) -> Expr:
    if isinstance(node, Ident):
        return dataclasses.replace(node, name=names.get(node.name, node.name))
    return syntax.rebuild(node, lambda child: _renamed(child, names))


def _is_valid_literal(function: str, arg: Const) -> bool:
    if function == "matches":
        return arg.kind != "string" or regexes.error(arg.value) is None
    expression = runtime.load(syntax.encode(Call(1, None, function, [dataclasses.replace(arg, id=2)])))
    return runtime.evaluate(expression, runtime.activation({}))[1] is None
