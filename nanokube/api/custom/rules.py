"""Rules in CEL of one schema (`x-kubernetes-validations`), compiled. Pure.

Source: apiextensions-apiserver/pkg/apiserver/schema/cel/compilation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api.cel import costs, environment, syntax, types
from nanokube.api.cel.environment import Environment, Program
from nanokube.api.cel.errors import CompileError
from nanokube.api.cel.syntax import Call, Const, Expr, Ident
from nanokube.api.cel.types import Type
from nanokube.api.custom import field_path

Schema = Mapping[str, Any]

KEY: Final = "x-kubernetes-validations"
_SELF, _OLD = "self", "oldSelf"


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule; without a program, `error` says why, or the rule is empty.

    text: the rule as errors name it. is_optional: runs without an old value, too. path: of the field to
    blame, below the value. cost, message_cost: at worst.
    """

    row: Mapping[str, Any]
    text: str
    program: Program | None = None
    error: str = ""
    uses_old: bool = False
    is_optional: bool = False
    cost: int = 0
    message: Program | None = None
    message_error: str = ""
    message_cost: int = 0
    path: str = ""


def compile_all(schema: Schema, declared: Type) -> list[Rule]:
    """Compile the rules of a schema whose values have the declared type."""
    rows = schema.get(KEY) or ()
    environments = {
        False: Environment({_SELF: declared, _OLD: declared}),
        True: Environment({_SELF: declared, _OLD: types.optional_of(declared)}),
    }
    return [_compile(schema, row, environments[bool(row.get("optionalOldSelf"))]) for row in rows]


def _compile(schema: Schema, row: Mapping[str, Any], env: Environment) -> Rule:
    source, is_optional = row.get("rule") or "", bool(row.get("optionalOldSelf"))
    text = (row.get("message") or "").strip() if row.get("message") else source.strip()
    if not source.strip():
        return Rule(row, text)
    try:
        program = env.compile(source)
    except CompileError as error:
        return Rule(row, text, error=f"compilation failed: {error}")
    if program.type != types.BOOL:
        return Rule(row, text, error="cel expression must evaluate to a bool")
    message, message_error = _compile_message(row, env)
    return Rule(
        row,
        text,
        program=_reading_optional(program) if is_optional else program,
        uses_old=any(
            isinstance(node, Ident) and node.name == _OLD for node in syntax.walk(program.checked.root)
        ),
        is_optional=is_optional,
        cost=_cost(program),
        message=message,
        message_error=message_error,
        message_cost=_cost(message) if message is not None else 0,
        path=_path(schema, row),
    )


def _compile_message(row: Mapping[str, Any], env: Environment) -> tuple[Program | None, str]:
    source = row.get("messageExpression") or ""
    if not source:
        return None, ""
    try:
        program = env.compile(source)
    except CompileError as error:
        return None, f"messageExpression compilation failed: {error}"
    if program.type != types.STRING:
        return None, "messageExpression must evaluate to a string"
    return (_reading_optional(program) if row.get("optionalOldSelf") else program), ""


def _cost(program: Program) -> int:
    """Estimate the worst case; what may be of any type is as large as declared, as are names of types."""
    declared = program.variables[_SELF]
    if declared.kind != "dyn" or declared.max_elements < 0:
        return program.cost()[1]
    largest = 0, declared.max_elements
    return costs.estimate(program.checked, lambda path: largest if len(path) == 1 else None).cost[1]


def _path(schema: Schema, row: Mapping[str, Any]) -> str:
    text = row.get("fieldPath") or ""
    try:
        return field_path.resolve(text, schema)[0] if text else ""
    except field_path.BadPath:
        return ""


def _reading_optional(program: Program) -> Program:
    """Let a program read the optional old value from a list of at most one: what is bound is no optional."""
    program.tree = _with_optional(program.tree)
    return program


def _with_optional(node: Expr) -> Expr:
    if isinstance(node, Ident) and node.name == _OLD:
        return Call(0, None, "_[?_]", [node, Const(0, "int", 0)])
    return syntax.rebuild(node, _with_optional)


def bind(declared: Type, value: Any, old: Any, *, has_old: bool) -> environment.Activation:
    """Bind a value and the one before it."""
    values = {_SELF: value} | ({_OLD: old} if has_old else {})
    return environment.Activation(values, {_SELF: declared, _OLD: declared})


def bind_optional(declared: Type, value: Any, old: Any, *, has_old: bool) -> environment.Activation:
    """Bind a value and the one before it for rules that run without one, too."""
    values = {_SELF: value, _OLD: [old] if has_old else []}
    return environment.Activation(values, {_SELF: declared, _OLD: types.list_of(declared)})
