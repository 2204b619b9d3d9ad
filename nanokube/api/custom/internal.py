"""A definition's spec in the form that its rules are written for, and that their paths name. Pure.

What is the same for all versions stands at the top there (`spec.validation`, `spec.subresources`, ...), as it
did before v1; so the path of an error depends on whether versions differ.
Source: apiextensions-apiserver/pkg/apis/apiextensions/v1/conversion.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import field

_HOISTED: Final = {
    "subresources": "subresources",
    "schema": "validation",
    "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
}
_REVIEWS: Final = "conversionReviewVersions"


def spec_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with what all versions share at the top; schemas are shared, not copied."""
    found = dict(spec)
    found["versions"] = versions = [dict(version) for version in spec.get("versions") or ()]
    for key, name in _HOISTED.items():
        if not versions:
            break
        first = versions[0].get(key)
        if all(version.get(key) == first for version in versions):
            if first is not None:
                found[name] = first
            for version in versions:
                version.pop(key, None)
    conversion = spec.get("conversion")
    if conversion is not None:
        webhook = conversion.get("webhook")
        found["conversion"] = {
            "strategy": conversion.get("strategy") or "",
            "webhookClientConfig": (webhook or {}).get("clientConfig"),
            _REVIEWS: (webhook or {}).get(_REVIEWS) or [],
        }
    return found


def schemas_of(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the schemas of all versions of an internal spec."""
    rows = [spec.get("validation"), *(version.get("schema") for version in spec["versions"])]
    return [row["openAPIV3Schema"] for row in rows if row and row.get("openAPIV3Schema") is not None]


def show_versions(versions: list[dict[str, Any]]) -> list[field.Struct]:
    """Make the value that errors show for `spec.versions`: Go's struct."""
    return [
        field.Struct(
            Name=version.get("name", ""),
            Served=bool(version.get("served")),
            Storage=bool(version.get("storage")),
            Deprecated=bool(version.get("deprecated")),
            DeprecationWarning=version.get("deprecationWarning"),
            Schema=_show_validation(version.get("schema")),
            Subresources=version.get("subresources"),
            AdditionalPrinterColumns=version.get("additionalPrinterColumns"),
            SelectableFields=version.get("selectableFields"),
        )
        for version in versions
    ]


def _show_validation(validation: Mapping[str, Any] | None) -> field.Struct | None:
    if validation is None:
        return None
    schema = validation.get("openAPIV3Schema")
    return field.Struct(OpenAPIV3Schema=None if schema is None else show_schema(schema))


# JSON key -> zero, in the order of Go's struct
_FIELDS: Final[Mapping[str, Any]] = {
    **{"id": "", "$schema": "", "$ref": None, "description": "", "type": "", "nullable": False, "format": ""},
    **{"title": "", "default": None, "maximum": None, "exclusiveMaximum": False, "minimum": None},
    **{"exclusiveMinimum": False, "maxLength": None, "minLength": None, "pattern": "", "maxItems": None},
    **{"minItems": None, "uniqueItems": False, "multipleOf": None, "enum": None, "maxProperties": None},
    **{"minProperties": None, "required": None, "items": None, "allOf": None, "oneOf": None, "anyOf": None},
    **{"not": None, "properties": None, "additionalProperties": None, "patternProperties": None},
    **{"dependencies": None, "additionalItems": None, "definitions": None, "externalDocs": None},
    **{
        "example": None,
        "x-kubernetes-preserve-unknown-fields": None,
        "x-kubernetes-embedded-resource": False,
    },
    **{"x-kubernetes-int-or-string": False, "x-kubernetes-list-map-keys": None},
    **{"x-kubernetes-list-type": None, "x-kubernetes-map-type": None, "x-kubernetes-validations": None},
}


def show_schema(schema: Mapping[str, Any]) -> field.Struct:
    """Make the value that errors show for a schema: Go's struct."""
    return field.Struct(
        {_go_name(key): _show_value(key, schema.get(key, zero)) for key, zero in _FIELDS.items()}
    )


def _go_name(key: str) -> str:
    if key == "id":
        return "ID"
    words = key.removeprefix("$").replace("x-kubernetes-", "x-").split("-")
    return "".join(word[0].upper() + word[1:] for word in words)


def _show_value(key: str, value: Any) -> Any:
    if key in ("allOf", "oneOf", "anyOf") and value is not None:
        return [show_schema(each) for each in value]
    if key in ("properties", "patternProperties", "definitions") and value is not None:
        return field.Struct({name: show_schema(value[name]) for name in sorted(value)})
    if key == "not" and value is not None:
        return show_schema(value)
    if key == "items" and value is not None:
        is_list = type(value) is list
        return field.Struct(
            Schema=None if is_list else show_schema(value),
            JSONSchemas=[show_schema(each) for each in value] if is_list else None,
        )
    if key in ("additionalProperties", "additionalItems") and value is not None:
        is_schema = type(value) is dict
        return field.Struct(Allows=value is not False, Schema=show_schema(value) if is_schema else None)
    return value
