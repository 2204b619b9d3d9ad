"""Which schemas are structural: every value has one type, and what restricts values adds none. Pure.

Source: apiextensions-apiserver/pkg/apiserver/schema/{validation,complete,convert}.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import field
from nanokube.api.custom import patterns
from nanokube.api.field import FieldError

Schema = Mapping[str, Any]

_INT_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]
_ROOT, _ITEM, _FIELD = "at the root", "for specified array items", "for specified object fields"
_UNSUPPORTED: Final = (
    "id",
    "$schema",
    "$ref",
    "patternProperties",
    "dependencies",
    "additionalItems",
    "definitions",
)
_IN_ROOT_METADATA: Final = frozenset(("name", "generateName"))

# what a schema that only restricts values must not have, and how upstream says so
_FORBIDDEN: Final = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def unsupported(schema: Schema) -> str:
    """Return why a schema cannot be read as a structural one at all, or ""."""
    todo: list[Any] = [schema]
    while todo:
        found = todo.pop()
        for key in _UNSUPPORTED:
            if found.get(key) or (key == "additionalItems" and found.get(key) is not None):
                return (
                    f"OpenAPIV3Schema '{key.removeprefix('$') if key == '$schema' else key}' is not supported"
                )
        if type(found.get("items")) is list:
            return "OpenAPIV3Schema 'items' must be a schema, but is an array"
        if found.get("x-kubernetes-preserve-unknown-fields") is False:
            return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
        for key in ("allOf", "anyOf", "oneOf"):
            todo += found.get(key) or ()
        todo += (found.get("properties") or {}).values()
        todo += (each for k in ("not", "items", "additionalProperties") if type(each := found.get(k)) is dict)
    return ""


def validate(schema: Schema, path: str) -> list[FieldError]:
    """Check that a schema is structural; errors come sorted by their text."""
    found = _invariants(schema, _ROOT, path) + _completeness(schema, schema, path, path)
    return sorted(found, key=str)


def is_structural(schema: Schema | None) -> bool:
    """Tell whether a schema is structural; none at all is."""
    return schema is None or (not unsupported(schema) and not validate(schema, ""))


def _invariants(schema: Schema, level: str, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    type_, items = schema.get("type") or "", schema.get("items")
    if type_ == "array" and items is None:
        found.append(field.required(f"{path}.items", "must be specified"))
    if items is not None:
        found += _invariants(items, _ITEM, f"{path}.items")
    properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
    for key, each in properties.items():
        found += _invariants(each, _FIELD, f"{path}.properties[{key}]")
    if others is not None and level == _ROOT:
        found.append(field.forbidden(f"{path}.additionalProperties", "must not be used at the root"))
    if type(others) is dict:
        found += _invariants(others, _FIELD, f"{path}.additionalProperties")
    found += _extensions(schema, path)
    found += _restrictions(
        schema,
        path,
        skips_any_of=schema.get("anyOf") == _INT_OR_STRING,
        skips_all_of=bool(schema.get("allOf")) and schema["allOf"][0].get("anyOf") == _INT_OR_STRING,
    )
    found += _types(schema, level, path)
    return found + _meta(schema, properties, level, path)


def _types(schema: Schema, level: str, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    type_ = schema.get("type") or ""
    is_embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    is_free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if is_embedded and type_ != "object":
        said = "must be object if x-kubernetes-embedded-resource is true"
        found.append(
            field.invalid(f"{path}.type", type_, said) if type_ else field.required(f"{path}.type", said)
        )
    elif not type_ and not is_free:
        found.append(field.required(f"{path}.type", f"must not be empty {level}"))
    if is_embedded and schema.get("additionalProperties") is not None:
        said = "must not be used if x-kubernetes-embedded-resource is set"
        found.append(field.forbidden(f"{path}.additionalProperties", said))
    if level == _ROOT and type_ and type_ != "object":
        found.append(field.invalid(f"{path}.type", type_, "must be object at the root"))
    return found


def _extensions(schema: Schema, path: str) -> list[FieldError]:
    if not schema.get("x-kubernetes-int-or-string"):
        return []
    return [
        field.invalid(f"{path}.{key}", True, "must be false if x-kubernetes-int-or-string is true")
        for key in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
        if schema.get(key)
    ]


def _meta(schema: Schema, properties: Mapping[str, Schema], level: str, path: str) -> list[FieldError]:
    """Check what a resource says of its own kind, apiVersion and metadata."""
    found: list[FieldError] = []
    is_embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    is_resource = level == _ROOT or is_embedded
    for key in ("kind", "apiVersion"):
        if is_resource and key in properties and properties[key].get("type") != "string":
            type_ = properties[key].get("type") or ""
            found.append(field.invalid(f"{path}.properties[{key}].type", type_, "must be string"))
    metadata = properties.get("metadata")
    if metadata is not None:
        here = f"{path}.properties[metadata]"
        if is_resource and metadata.get("type") != "object":
            found.append(field.invalid(f"{here}.type", metadata.get("type") or "", "must be object"))
        if level == _ROOT and not _is_plain_metadata(metadata):
            said = (
                "must not specify anything other than name and generateName, but metadata is implicitly "
                "specified"
            )
            found.append(field.forbidden(here, said))
    if is_embedded and not schema.get("x-kubernetes-preserve-unknown-fields") and not properties:
        said = (
            "must not be empty if x-kubernetes-embedded-resource is true without "
            "x-kubernetes-preserve-unknown-fields"
        )
        found.append(field.required(f"{path}.properties", said))
    return found


def _is_plain_metadata(metadata: Schema) -> bool:
    rest = {
        k
        for k, v in metadata.items()
        if v not in (None, "", False) and k not in ("type", "default", "properties")
    }
    properties = metadata.get("properties") or {}
    return not rest and not properties.keys() - _IN_ROOT_METADATA


def _restrictions(
    schema: Schema, path: str, *, skips_any_of: bool = False, skips_all_of: bool = False
) -> list[FieldError]:
    """Check what restricts values: anyOf, allOf, oneOf, not, pattern."""
    found: list[FieldError] = []
    if not skips_any_of:
        for index, each in enumerate(schema.get("anyOf") or ()):
            found += _nested(each, f"{path}.anyOf[{index}]")
    for index, each in enumerate(schema.get("allOf") or ()):
        found += _nested(each, f"{path}.allOf[{index}]", skips_any_of=skips_all_of and index == 0)
    for index, each in enumerate(schema.get("oneOf") or ()):
        found += _nested(each, f"{path}.oneOf[{index}]")
    if schema.get("not") is not None:
        found += _nested(schema["not"], f"{path}.not")
    pattern = schema.get("pattern")
    if pattern and (bad := patterns.check(pattern)):
        said = f"must be a valid regular expression, but isn't: {bad}"
        found.append(field.invalid(f"{path}.pattern", pattern, said))
    return found


def _nested(schema: Schema, path: str, *, skips_any_of: bool = False) -> list[FieldError]:
    """Check a schema below anyOf and the like, which must not say what a value is."""
    found = _restrictions(schema, path, skips_any_of=skips_any_of)
    if schema.get("items") is not None:
        found += _nested(schema["items"], f"{path}.items")
    properties = schema.get("properties") or {}
    for key, each in properties.items():
        found += _nested(each, f"{path}.properties[{key}]")
    for key, said in _FORBIDDEN:
        value = schema.get(key)
        if value or (value is not None and key.endswith(("-type", "default"))):
            found.append(field.forbidden(f"{path}.{key}", said))
    if "metadata" in properties:
        said = "must not be specified in a nested context"
        found.append(field.forbidden(f"{path}.properties[metadata]", said))
    return found


def _completeness(schema: Schema, node: Schema, node_path: str, path: str) -> list[FieldError]:
    """Check that what is restricted is also specified. schema: restricts; node: specifies."""
    found: list[FieldError] = []
    for name, each in _junctions(schema):
        found += _nested_completeness(each, node, node_path, f"{path}.{name}")
    return found


def _junctions(schema: Schema) -> list[tuple[str, Schema]]:
    found = [("not", schema["not"])] if schema.get("not") is not None else []
    for key in ("allOf", "anyOf", "oneOf"):
        found += ((f"{key}[{index}]", each) for index, each in enumerate(schema.get(key) or ()))
    return found


def _nested_completeness(schema: Schema, node: Schema | None, node_path: str, path: str) -> list[FieldError]:
    if node is None:
        return [field.required(node_path, f"because it is defined in {path}")]
    found = _completeness(schema, node, node_path, path)
    if schema.get("items") is not None:
        items = node.get("items")
        found += _nested_completeness(schema["items"], items, f"{node_path}.items", f"{path}.items")
    specified = node.get("properties") or {}
    for key, each in (schema.get("properties") or {}).items():
        here = f".properties[{key}]"
        found += _nested_completeness(each, specified.get(key), node_path + here, path + here)
    return found
