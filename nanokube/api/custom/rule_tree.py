"""The rules in CEL of a whole schema, evaluated over an object. Pure.

Only the parts of a schema that have rules at or below them are in the tree.
Source: apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import field
from nanokube.api.cel import escaping, types
from nanokube.api.cel.environment import MAX_MESSAGE_BYTES, PER_CALL_LIMIT, RUNTIME_BUDGET, Activation
from nanokube.api.cel.errors import BudgetExceeded, EvaluationError
from nanokube.api.cel.types import Type
from nanokube.api.custom import correlate, rules
from nanokube.api.custom.correlate import MISSING
from nanokube.api.custom.node import Node
from nanokube.api.custom.problems import NOWHERE, Path, at
from nanokube.api.custom.rules import Rule
from nanokube.api.field import FieldError
from nanokube.api.steps import Steps

_NO_BUDGET: Final = (
    "validation failed due to running out of cost budget, no further validation rules will be run"
)
_REASONS: Final[dict[str, Callable[[str, Any, str], FieldError]]] = {
    "FieldValueForbidden": lambda path, value, detail: field.forbidden(path, detail),
    "FieldValueRequired": lambda path, value, detail: field.required(path, detail),
    "FieldValueDuplicate": lambda path, value, detail: field.duplicate(path, value),
}


@dataclass(frozen=True, slots=True)
class RuleNode:
    """The rules of one schema, and of those below it."""

    node: Node
    type: Type
    rules: list[Rule]
    properties: dict[str, RuleNode]
    items: RuleNode | None
    additional: RuleNode | None


def compile_tree(node: Node, *, is_root: bool = True) -> Steps[RuleNode | None]:
    """Compile all rules of a schema; None if there are none."""
    if not _has_rules(node):
        return None
    declared = types.from_schema(node.schema, resource_root=is_root or node.is_embedded)
    yield
    return (yield from _compile(node, declared))


def _has_rules(node: Node) -> bool:
    return bool(node.schema.get(rules.KEY)) or any(_has_rules(child) for _, child in node.children())


def _compile(node: Node, declared: Type) -> Steps[RuleNode | None]:
    properties = {}
    for key, child in node.properties.items():
        escaped = escaping.escape(key)
        below = (declared.fields or {}).get(escaped) if escaped is not None else None
        if escaped is None:
            below = types.from_schema(child.schema, resource_root=child.is_embedded)
        if below is not None and _has_rules(child):
            found = yield from _compile(child, below)
            if found is not None:
                properties[key] = found
    items, additional, other = None, None, node.additional
    if node.items and declared.kind == "list":
        items = yield from _compile(node.items, declared.params[0])
    if other and declared.kind == "map":
        additional = yield from _compile(other, declared.params[1])
    yield
    compiled = rules.compile_all(node.schema, declared) if node.schema.get(rules.KEY) else []
    if not (compiled or properties or items or additional):
        return None
    return RuleNode(node, declared, compiled, properties, items, additional)


def validate(
    tree: RuleNode, value: Any, old: Any = MISSING, *, path: str = "", ratchets: bool = True
) -> list[FieldError]:
    """Return what the rules say of a value. old: what it replaces.

    ratchets: whether what did not change may go on breaking rules that do not look at the old value.
    """
    before = None if old is MISSING or not ratchets else correlate.forgives(tree.node, value, old)
    run = _Run(before)
    run.visit(tree, value, old, path, None)
    return run.found


class _Run:
    """One evaluation of a tree. forgives: whether the value at a path is as it was."""

    def __init__(self, forgives: Callable[[Path], bool] | None) -> None:
        self.found: list[FieldError] = []
        self._forgives = forgives
        self._budget = RUNTIME_BUDGET

    def visit(self, tree: RuleNode, value: Any, old: Any, path: str, where: Path) -> None:
        if value is None or self._budget < 0:
            return
        old = MISSING if old is None else old
        if tree.rules:
            self._evaluate(tree, value, old, path, where)
        if type(value) is list and tree.items is not None:
            for index, item in enumerate(value):
                before = correlate.of_item(tree.node, old, item)
                self.visit(tree.items, item, before, f"{path}[{index}]", (where, index))
        elif type(value) is dict and (tree.properties or tree.additional is not None):
            for key, member in value.items():
                below = tree.properties.get(key)
                if below is None and key not in tree.node.properties:
                    below = tree.additional
                if below is not None:
                    before = correlate.of_key(old, key)
                    self.visit(below, member, before, at(tree.node, path, key), (where, key))

    def _evaluate(self, tree: RuleNode, value: Any, old: Any, path: str, where: Path) -> None:
        type_, bound = tree.node.type, dict[bool, Activation]()
        for rule in tree.rules:
            if self._budget <= 0:
                self._fail(path, type_, _NO_BUDGET, is_last=True)
                return
            if rule.error:
                self._fail(path, type_, f"rule compile error: {rule.error}")
                continue
            if rule.program is None or (rule.uses_old and old is MISSING and not rule.is_optional):
                continue
            activation = bound.get(rule.is_optional)
            if activation is None:
                bind = rules.bind_optional if rule.is_optional else rules.bind
                before = None if old is MISSING else old
                activation = bind(tree.type, value, before, has_old=old is not MISSING)
                bound[rule.is_optional] = activation
            if self._holds(rule, activation, path, type_):
                continue
            if self._budget < 0:
                return
            self._add(rule, activation, value, path, where, type_)

    def _holds(self, rule: Rule, activation: Activation, path: str, type_: str) -> bool:
        """Evaluate a rule; errors are added, and count as if it held."""
        assert rule.program is not None
        is_short = self._budget < PER_CALL_LIMIT
        try:
            result = rule.program.evaluate(activation, self._budget)
        except BudgetExceeded as error:
            said = (
                f"'{error}': no further validation rules will be run due to call cost exceeds limit for rule"
            )
            self._fail(path, type_, _NO_BUDGET if is_short else f"{said}: {rule.text}", is_last=True)
            return True
        except EvaluationError as error:
            text = f"{error} evaluating rule: {rule.text}"
            if str(error).startswith("no such overload"):
                said = (
                    "call arguments did not match a supported operator, function or macro signature for rule"
                )
                text = f"'{error}': {said}: {rule.text}"
            self._fail(path, type_, text)
            return True
        self._budget -= result.cost
        return result.value is True

    def _add(
        self, rule: Rule, activation: Activation, value: Any, path: str, where: Path, type_: str
    ) -> None:
        """Add the error of a rule that does not hold."""
        detail = self._message(rule, activation) or _default_message(rule)
        if not rule.uses_old and self._forgives is not None and self._forgives(where):
            return
        here = f"{path}.{rule.path}".removeprefix(".") if rule.path else path
        shown = field.OMITTED if type_ in ("object", "array") else value
        build = _REASONS.get(rule.row.get("reason") or "", field.invalid)
        self.found.append(build(here or NOWHERE, shown, detail))

    def _message(self, rule: Rule, activation: Activation) -> str:
        """Evaluate the message of a rule; "" if that gives none."""
        if rule.message is None:
            return ""
        try:
            result = rule.message.evaluate(activation, max(self._budget, 0))
        except BudgetExceeded:
            self._budget = -1
            return ""
        except EvaluationError:
            return ""
        self._budget -= result.cost
        text = result.value.strip() if type(result.value) is str else ""
        return text if len(text.encode()) <= MAX_MESSAGE_BYTES and "\n" not in text else ""

    def _fail(self, path: str, type_: str, detail: str, *, is_last: bool = False) -> None:
        self.found.append(field.invalid(path or NOWHERE, type_, detail))
        if is_last:
            self._budget = -1


def _default_message(rule: Rule) -> str:
    own = rule.row.get("message")
    return str(own).strip() if own else f"failed rule: {rule.text}"
