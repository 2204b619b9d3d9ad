"""What must hold of a definition's schema. Pure.

Source: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go
(ValidateCustomResourceDefinitionOpenAPISchema, specStandardValidatorV3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from nanokube.api import field
from nanokube.api.custom import (
    default_rules,
    field_path,
    internal,
    list_rules,
    node,
    rule_costs,
    structural_rules,
)
from nanokube.api.custom.options import Options
from nanokube.api.field import FieldError
from nanokube.api.steps import Steps

Schema = Mapping[str, Any]

_TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
_REASONS: Final = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_AT_ROOT: Final = (
    "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength "
    "Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example "
    "XPreserveUnknownFields XValidations"
)
_ROOT_KEYS: Final = frozenset(
    name[0].lower() + name[1:] for name in _AT_ROOT.split() if not name.startswith("X")
) | {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations"}
_UNSUPPORTED: Final = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_UNASKED: Final = frozenset(("not", "allOf", "oneOf", "anyOf", "definitions", "dependencies"))
_HOLDING: Final = _UNASKED | {"properties", "additionalProperties", "items"}
_LINE_BREAKS: Final = re.compile(r"[\n\r]")


class Place(NamedTuple):
    """What holds where a schema stands.

    no_defaults: why there may be no defaults, None if there may. is_in_meta: within metadata, kind or
    apiVersion. uncorrelated: the path below which old values cannot be told. scope: what rules in CEL know of
    the place; None where they are not asked.
    """

    is_root: bool = False
    no_defaults: str | None = None
    is_in_meta: bool = False
    uncorrelated: str = ""
    scope: rule_costs.Scope | None = None


class Findings:
    """Errors of a schema, and those of its rules in CEL, which are only asked where there are no others."""

    def __init__(self) -> None:
        self.schema: list[FieldError] = []
        self.cel: list[FieldError] = []

    def add(self, *errors: FieldError) -> None:
        """Add errors of the schema."""
        self.schema += errors


def validate(
    schema: Schema | None, path: str, options: Options, *, has_status: bool, is_structural: bool
) -> Steps[list[FieldError]]:
    """Check the schema of `validation` or of a version's `schema`. has_status: /status is served."""
    if schema is None:
        return []
    here = f"{path}.openAPIV3Schema"
    found = _status_root(schema, here) if has_status else []
    if schema.get("nullable"):
        found.append(field.forbidden(f"{here}.nullable", "nullable cannot be true at the root"))
    late, scope = list[FieldError](), None
    if is_structural:
        reason = structural_rules.unsupported(schema)
        yield
        broken = [] if reason else structural_rules.validate(schema, here)
        if reason:
            late.append(field.invalid(here, "", reason))
        elif not broken:
            yield
            broken = default_rules.validate(node.of(schema), here, options.requires_pruned_defaults)
            scope = None if broken else rule_costs.Scope.root(schema)
        found += broken
        yield
    findings = Findings()
    yield from _schema(schema, here, Place(is_root=True, scope=scope), options, findings)
    found += findings.schema + findings.cel
    if not found:
        found = late
    if scope is not None:
        found += scope.total.validate(here)
    return found


def _status_root(schema: Schema, path: str) -> list[FieldError]:
    """Check that the schema of the status can be taken out of the whole."""
    for key, value in schema.items():
        if value is None or value is False or value == "":
            continue
        if key == "type":
            if value != "object":
                said = (
                    'only "object" is allowed as the type at the root of the schema if the status subresource'
                )
                return [field.invalid(f"{path}.type", value, f"{said} is enabled")]
        elif key not in _ROOT_KEYS:
            said = f"only [{_AT_ROOT}] fields are allowed at the root of the schema if the status subresource"
            return [field.invalid(path, internal.show_schema(schema), f"{said} is enabled")]
    return []


def _schema(schema: Schema, path: str, place: Place, options: Options, found: Findings) -> Steps[None]:
    start = len(found.schema)
    found.add(*_standard(schema, path, place, options))
    if schema.get("uniqueItems"):
        said = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.add(field.forbidden(f"{path}.uniqueItems", said))
    if not _HOLDING.isdisjoint(schema):
        yield from _below(schema, path, place, options, found)
    found.add(*list_rules.validate(schema, path, options))
    checked = schema.get("x-kubernetes-validations")
    if checked:
        for index, rule in enumerate(checked):
            found.add(*_rule(schema, rule, f"{path}.x-kubernetes-validations[{index}]"))
        if len(found.schema) == start and place.scope is not None:
            found.cel += rule_costs.validate(place.scope, path, place.uncorrelated, options)
            yield


def _standard(schema: Schema, path: str, place: Place, options: Options) -> list[FieldError]:
    """Check what no schema may have."""
    found: list[FieldError] = []
    type_ = schema.get("type") or ""
    if options.requires_valid_types and type_ and type_ not in _TYPES:
        found.append(field.not_supported(f"{path}.type", type_, _TYPES))
    if schema.get("default") is not None and place.no_defaults is not None:
        said = f"must not be set {place.no_defaults}".rstrip()
        found.append(field.forbidden(f"{path}.default", said))
    for key in _UNSUPPORTED:
        value = schema.get(key)
        is_set = value is not None if key in ("additionalItems", "dependencies", "$ref") else bool(value)
        if is_set:
            found.append(field.forbidden(f"{path}.{key}", f"{key} is not supported"))
    if type_ == "null":
        said = "type cannot be set to null, use nullable as an alternative"
        found.append(field.forbidden(f"{path}.type", said))
    if type(schema.get("items")) is list and schema["items"]:
        said = "items must be a schema object and not an array"
        found.append(field.forbidden(f"{path}.items", said))
    if place.is_in_meta and schema.get("x-kubernetes-embedded-resource"):
        said = "must not be used inside of resource meta"
        found.append(field.forbidden(f"{path}.x-kubernetes-embedded-resource", said))
    return found


def _below(schema: Schema, path: str, place: Place, options: Options, found: Findings) -> Steps[None]:
    """Check the schemas that a schema holds."""
    yield
    below = place._replace(is_root=False) if place.is_root else place
    scope = place.scope
    others, properties = schema.get("additionalProperties"), schema.get("properties") or {}
    if others is not None and others is not True and properties:
        said = "additionalProperties and properties are mutual exclusive"
        found.add(field.forbidden(f"{path}.additionalProperties", said))
    if type(others) is dict:
        where = below._replace(scope=scope and scope.child(others, "additionalProperties"))
        if place.is_in_meta:
            where = where._replace(no_defaults="inside additionalProperties applying to object metadata")
        yield from _schema(others, f"{path}.additionalProperties", where, options, found)
    for key, each in properties.items():
        where = below._replace(scope=scope and scope.child(each, "properties", key))
        if (place.is_root or schema.get("x-kubernetes-embedded-resource")) and key in node.META_FIELDS:
            where = where._replace(is_in_meta=True)
            if place.is_root:
                where = where._replace(no_defaults=f"in top-level {key}")
        yield from _schema(each, f"{path}.properties[{key}]", where, options, found)
    unasked = below if scope is None or _UNASKED.isdisjoint(schema) else below._replace(scope=None)
    if schema.get("not") is not None:
        yield from _schema(schema["not"], f"{path}.not", unasked, options, found)
    for key in ("allOf", "oneOf", "anyOf"):
        for index, each in enumerate(schema.get(key) or ()):
            yield from _schema(each, f"{path}.{key}[{index}]", unasked, options, found)
    for key, each in (schema.get("definitions") or {}).items():
        yield from _schema(each, f"{path}.definitions[{key}]", unasked, options, found)
    yield from _items(schema, path, below, options, found)
    for key, each in (schema.get("dependencies") or {}).items():
        if type(each) is dict:
            yield from _schema(each, f"{path}.dependencies[{key}]", unasked, options, found)


def _items(schema: Schema, path: str, below: Place, options: Options, found: Findings) -> Steps[None]:
    items, scope = schema.get("items"), below.scope
    if items is None:
        return
    if schema.get("x-kubernetes-list-type") != "map" and not below.uncorrelated:
        below = below._replace(uncorrelated=path)
    each_item = items if type(items) is list else [items]
    for index, item in enumerate(each_item):
        where = below._replace(scope=scope and scope.child(item, "items"))
        here = f"{path}.items" + (f"[{index}]" if type(items) is list else "")
        yield from _schema(item, here, where, options, found)


def _rule(schema: Schema, rule: Schema, path: str) -> list[FieldError]:
    """Check a rule apart from its expressions."""
    found: list[FieldError] = []
    text, message = (rule.get("rule") or "").strip(), rule.get("message") or ""
    if not text:
        found.append(field.required(f"{path}.rule", "rule is not specified"))
    elif message and not message.strip():
        found.append(field.invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif _LINE_BREAKS.search(message.strip()):
        found.append(field.invalid(f"{path}.message", message, "must not contain line breaks"))
    elif _LINE_BREAKS.search(text) and not message.strip():
        said = "message must be specified if rule contains line breaks"
        found.append(field.required(f"{path}.message", said))
    expression = rule.get("messageExpression") or ""
    if expression and not expression.strip():
        said = "messageExpression must be non-empty if specified"
        found.append(field.required(f"{path}.messageExpression", said))
    reason = rule.get("reason")
    if reason is not None and reason not in _REASONS:
        found.append(field.not_supported(f"{path}.reason", reason, _REASONS))
    where = rule.get("fieldPath") or ""
    if where and not where.strip():
        found.append(field.invalid(f"{path}.fieldPath", where, "must be non-empty if specified"))
    if _LINE_BREAKS.search(where):
        found.append(field.invalid(f"{path}.fieldPath", where, "must not contain line breaks"))
    if where and not _is_path(schema, where):
        found.append(field.invalid(f"{path}.fieldPath", where, "must be a valid path"))
    return found


def _is_path(schema: Schema, text: str) -> bool:
    try:
        field_path.resolve(text, schema)
    except field_path.BadPath:
        return False
    return True
