"""What a definition's rules in CEL may cost, and whether they compile. Pure.

A rule runs as often as its value can stand in an object: the product of the limits of the lists and maps
around it, or as many times as fit into a request.
Source: apiextensions-apiserver/pkg/apis/apiextensions/validation/{cel_validation,validation}.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import field
from nanokube.api.cel import escaping, types
from nanokube.api.cel.environment import PER_DEFINITION_ESTIMATE, PER_EXPRESSION_ESTIMATE
from nanokube.api.cel.types import Type
from nanokube.api.custom import rules
from nanokube.api.custom.options import Options
from nanokube.api.custom.rules import Rule
from nanokube.api.field import FieldError

Schema = Mapping[str, Any]

_MOST: Final = (1 << 64) - 1
_NAMED: Final = 4
_ADVICE: Final = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and "
    "strings are declared)"
)


class TotalCost:
    """What all rules of a schema may cost, and which of them the most."""

    def __init__(self) -> None:
        self.cost = 0
        self._dearest: list[tuple[int, str]] = []

    def add(self, path: str, cost: int) -> None:
        """Count an expression."""
        self.cost = min(self.cost + cost, _MOST)
        if cost >= PER_DEFINITION_ESTIMATE // 100:
            self._dearest.append((cost, path))
            self._dearest = sorted(self._dearest, key=lambda each: -each[0])[:_NAMED]

    def validate(self, path: str) -> list[FieldError]:
        """Check the sum."""
        if self.cost <= PER_DEFINITION_ESTIMATE:
            return []
        said = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        title = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        found = [field.forbidden(where, said) for _, where in self._dearest]
        return [*found, field.forbidden(path, _exceeds(title, self.cost, PER_DEFINITION_ESTIMATE))]


class Scope:
    """What rules know of the place of a schema. times: how often its value can stand; None if unbounded."""

    def __init__(
        self, schema: Schema, total: TotalCost, times: int | None, above: Scope | None, key: str
    ) -> None:
        self.schema, self.total, self.times = schema, total, times
        self._above, self._key = above, key
        self._has_rules: bool = bool(schema.get(rules.KEY)) or (above is not None and above._has_rules)
        self._type: Type | None = None

    @classmethod
    def root(cls, schema: Schema) -> Scope:
        """Make the scope of a whole schema."""
        return cls(schema, TotalCost(), 1, None, "")

    def child(self, schema: Schema, place: str, key: str = "") -> Scope:
        """Make the scope of a schema right below. place: "properties", "items" or "additionalProperties"."""
        most = _most_elements(self.schema)
        times = None if self.times is None or most is None else min(self.times * most, _MOST)
        return Scope(schema, self.total, times, self, key if place == "properties" else f"@{place}")

    @property
    def type(self) -> Type:
        """The CEL type of values here; taken from the type above, if that is known."""
        if self._type is None:
            self._type = self._from_above() or self._declare()
        return self._type

    def _declare(self) -> Type:
        is_resource = self._above is None or bool(self.schema.get("x-kubernetes-embedded-resource"))
        return types.from_schema(self.schema, resource_root=is_resource)

    def _from_above(self) -> Type | None:
        if self._above is None or not self._above._has_rules:
            return None
        above = self._above.type
        if self._key == "@items":
            return above.params[0] if above.kind == "list" else None
        if self._key == "@additionalProperties":
            return above.params[1] if above.kind == "map" else None
        escaped = escaping.escape(self._key)
        return (above.fields or {}).get(escaped) if escaped is not None else None


def _most_elements(schema: Schema) -> int | None:
    """Return how often what is right below can stand in one value; None if there is no limit."""
    limit = None
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is None:
            return 1
        limit = schema.get("maxProperties")
    elif schema.get("type") == "array":
        limit = schema.get("maxItems")
    else:
        return 1
    return None if limit is None else max(limit, 0)


def validate(scope: Scope, path: str, uncorrelated: str, options: Options) -> list[FieldError]:
    """Check the expressions of a schema's rules. uncorrelated: below this path no old value can be told."""
    found: list[FieldError] = []
    fits = types.MAX_REQUEST_BYTES // (scope.type.min_size + 1)
    times = fits if scope.times is None else scope.times
    for index, rule in enumerate(rules.compile_all(scope.schema, scope.type)):
        here = f"{path}.{rules.KEY}[{index}]"
        cost = min(rule.cost * times, _MOST)
        found += _validate_cost(f"{here}.rule", "rule", cost, options, scope)
        if rule.error:
            found.append(field.invalid(f"{here}.rule", show(rule.row), rule.error))
        if rule.message_error:
            found.append(field.invalid(f"{here}.messageExpression", show(rule.row), rule.message_error))
        elif rule.message is not None:
            where = f"{here}.messageExpression"
            found += _validate_cost(where, "messageExpression", rule.message_cost, options, scope)
        found += _validate_old(rule, here, uncorrelated)
    return found


def _validate_cost(path: str, title: str, cost: int, options: Options, scope: Scope) -> list[FieldError]:
    scope.total.add(path, cost)
    if not options.limits_cost or cost <= PER_EXPRESSION_ESTIMATE:
        return []
    return [field.forbidden(path, _exceeds(f"estimated {title} cost", cost, PER_EXPRESSION_ESTIMATE))]


def _validate_old(rule: Rule, path: str, uncorrelated: str) -> list[FieldError]:
    if rule.uses_old and uncorrelated:
        said = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelated}"
        return [field.invalid(f"{path}.rule", rule.row.get("rule"), said)]
    given = rule.row.get("optionalOldSelf")
    if rule.uses_old or given is None:
        return []
    said = "may not be set if oldSelf is not used in rule"
    return [field.invalid(f"{path}.optionalOldSelf", given, said)]


def _exceeds(title: str, cost: int, limit: int) -> str:
    factor = cost / limit
    said = "more than 100x" if factor > 100 else f"{factor:.6f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{title} exceeds budget by factor of {said} {_ADVICE}"


def show(row: Mapping[str, Any]) -> field.Struct:
    """Make the value that errors show for a rule: Go's struct."""
    return field.Struct(
        Rule=row.get("rule") or "",
        Message=row.get("message") or "",
        MessageExpression=row.get("messageExpression") or "",
        Reason=row.get("reason"),
        FieldPath=row.get("fieldPath") or "",
        OptionalOldSelf=row.get("optionalOldSelf"),
    )
