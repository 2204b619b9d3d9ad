"""A Swagger 2.0 document in protobuf, as gnostic's `openapi.v2.Document`. Pure.

kubectl reads /openapi/v2 in this form only.
Source: google/gnostic-models openapiv2/OpenAPIv2.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api.openapi import fields
from nanokube.api.openapi.fields import (
    any_,
    anys,
    choice_of_flag,
    double,
    flag,
    integer,
    named,
    named_each,
    sized,
    text,
    texts,
)

CONTENT_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_MESSAGES: Final = fields.Messages()
_one, _many = _MESSAGES.one, _MESSAGES.many
Unknown = fields.Unknown


def encode(document: Mapping[str, Any]) -> bytes:
    """Encode a Swagger 2.0 document. Raises Unknown."""
    return _MESSAGES.encode("Document", document)


def _paths(number: int, value: Mapping[str, Any]) -> bytes:
    return sized(number, b"".join(named(2, path, _one("PathItem")(2, v)) for path, v in value.items()))


def _responses(number: int, value: Mapping[str, Any]) -> bytes:
    """Write answers by status; each is a response (1), not a reference."""
    body = (named(1, code, sized(2, _one("Response")(1, v))) for code, v in value.items())
    return sized(number, b"".join(body))


def _parameters(number: int, value: list[Mapping[str, Any]]) -> bytes:
    return b"".join(sized(number, _parameter(each)) for each in value)


def _parameter(value: Mapping[str, Any]) -> bytes:
    """Write ParametersItem.parameter, whose kind `in` decides. Raises Unknown."""
    where = value["in"]
    if where == "body":
        return sized(1, _one("BodyParameter")(1, value))
    choice = {"header": 1, "formData": 2, "query": 3, "path": 4}.get(where)
    if choice is None:
        raise fields.Unknown(f"cannot encode a parameter in {where!r}")
    table = "NamedParameter" if where in ("header", "path") else "QueryParameter"
    return sized(1, sized(2, _one(table)(choice, value)))


def _additional(number: int, value: Any) -> bytes:
    inner = choice_of_flag(2, value) if type(value) is bool else _one("Schema")(1, value)
    return sized(number, inner)


def _type(number: int, value: str | list[str]) -> bytes:
    return sized(number, texts(1, [value] if type(value) is str else list(value)))


def _items(number: int, value: Any) -> bytes:
    return sized(number, _many("Schema")(1, value if type(value) is list else [value]))


def _answer_schema(number: int, value: Any) -> bytes:
    return sized(number, _one("Schema")(1, value))


def _security(number: int, value: list[Mapping[str, list[str]]]) -> bytes:
    each_name = named_each(lambda inner, names: sized(inner, texts(1, names)))
    return b"".join(each_name(number, each) for each in value)


def _api_keys(number: int, value: Mapping[str, Any]) -> bytes:
    """Write securityDefinitions; every one of ours is an API key (choice 2)."""
    return named_each(lambda inner, each: sized(inner, _one("ApiKeySecurity")(2, each)))(number, value)


def _primitive(first: int) -> dict[str, fields.Row]:
    """Rows from `type` on, which parameters of all places have in the same order."""
    writers: tuple[tuple[str, fields.Write], ...] = (
        ("type", text), ("format", text), ("items", _one("PrimitivesItems")), ("collectionFormat", text),
        ("default", any_), ("maximum", double), ("exclusiveMaximum", flag), ("minimum", double),
        ("exclusiveMinimum", flag), ("maxLength", integer), ("minLength", integer), ("pattern", text),
        ("maxItems", integer), ("minItems", integer), ("uniqueItems", flag), ("enum", anys),
        ("multipleOf", double), ("x-", any_),
    )  # fmt: skip
    return {key: (first + i, write) for i, (key, write) in enumerate(writers)}


_PARAMETER: Final[dict[str, fields.Row]] = {
    "required": (1, flag), "in": (2, text), "description": (3, text), "name": (4, text),
}  # fmt: skip
_OPERATION: Final = _one("Operation")

_MESSAGES.rows |= {
    "Document": {
        "swagger": (1, text), "info": (2, _one("Info")), "host": (3, text), "basePath": (4, text),
        "schemes": (5, texts), "consumes": (6, texts), "produces": (7, texts), "paths": (8, _paths),
        "definitions": (9, named_each(_one("Schema"))), "security": (12, _security),
        "securityDefinitions": (13, _api_keys), "x-": (16, any_),
    },
    "Info": {"title": (1, text), "version": (2, text), "description": (3, text), "x-": (7, any_)},
    "ApiKeySecurity": {
        "type": (1, text), "name": (2, text), "in": (3, text), "description": (4, text), "x-": (5, any_),
    },
    "PathItem": {
        "get": (2, _OPERATION), "put": (3, _OPERATION), "post": (4, _OPERATION), "delete": (5, _OPERATION),
        "options": (6, _OPERATION), "head": (7, _OPERATION), "patch": (8, _OPERATION),
        "parameters": (9, _parameters), "x-": (10, any_),
    },
    "Operation": {
        "tags": (1, texts), "summary": (2, text), "description": (3, text), "operationId": (5, text),
        "produces": (6, texts), "consumes": (7, texts), "parameters": (8, _parameters),
        "responses": (9, _responses), "schemes": (10, texts), "deprecated": (11, flag), "x-": (13, any_),
    },
    "BodyParameter": {
        "description": (1, text), "name": (2, text), "in": (3, text), "required": (4, flag),
        "schema": (5, _one("Schema")), "x-": (6, any_),
    },
    "NamedParameter": _PARAMETER | _primitive(5),
    "QueryParameter": _PARAMETER | {"allowEmptyValue": (5, flag)} | _primitive(6),
    "PrimitivesItems": _primitive(1),
    "Response": {"description": (1, text), "schema": (2, _answer_schema), "x-": (5, any_)},
    "Schema": {
        "$ref": (1, text), "format": (2, text), "title": (3, text), "description": (4, text),
        "default": (5, any_), "multipleOf": (6, double), "maximum": (7, double),
        "exclusiveMaximum": (8, flag), "minimum": (9, double), "exclusiveMinimum": (10, flag),
        "maxLength": (11, integer), "minLength": (12, integer), "pattern": (13, text),
        "maxItems": (14, integer), "minItems": (15, integer), "uniqueItems": (16, flag),
        "maxProperties": (17, integer), "minProperties": (18, integer), "required": (19, texts),
        "enum": (20, anys), "additionalProperties": (21, _additional), "type": (22, _type),
        "items": (23, _items), "allOf": (24, _many("Schema")),
        "properties": (25, named_each(_one("Schema"))),
        "discriminator": (26, text), "readOnly": (27, flag), "example": (30, any_), "x-": (31, any_),
    },
}  # fmt: skip
