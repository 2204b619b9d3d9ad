"""An OpenAPI 3.0 document in protobuf, as gnostic's `openapi.v3.Document`. Pure.

client-go's openapi3 reads documents in this form only.
Source: google/gnostic-models openapiv3/OpenAPIv3.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api.openapi import fields
from nanokube.api.openapi.fields import (
    any_,
    anys,
    choice_of_flag,
    choice_of_number,
    double,
    flag,
    integer,
    named,
    named_each,
    sized,
    text,
    texts,
)

CONTENT_TYPE: Final = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"

_MESSAGES: Final = fields.Messages()
_one = _MESSAGES.one
Unknown = fields.Unknown


def encode(document: Mapping[str, Any]) -> bytes:
    """Encode an OpenAPI 3.0 document. Raises Unknown."""
    return _MESSAGES.encode("Document", document)


def _or_reference(name: str) -> fields.Write:
    """Write a choice: what is meant (1), or a reference to it (2)."""
    meant, reference = _one(name), _one("Reference")

    def write(number: int, value: Mapping[str, Any]) -> bytes:
        return sized(number, reference(2, value) if "$ref" in value else meant(1, value))

    return write


def _each(write: fields.Write) -> fields.Write:
    return lambda number, value: b"".join(write(number, one) for one in value)


def _paths(number: int, value: Mapping[str, Any]) -> bytes:
    items = (named(1, path, _one("PathItem")(2, item)) for path, item in value.items())
    return sized(number, b"".join(items))


def _responses(number: int, value: Mapping[str, Any]) -> bytes:
    """Write answers by status (2); the default one has a field of its own (1)."""
    write = _or_reference("Response")
    body = (
        write(1, each) if code == "default" else named(2, code, write(2, each))
        for code, each in value.items()
    )
    return sized(number, b"".join(body))


def _additional(number: int, value: Any) -> bytes:
    return sized(number, choice_of_flag(2, value) if type(value) is bool else _SCHEMA(1, value))


def _items(number: int, value: Any) -> bytes:
    return sized(number, _SCHEMA(1, value))


def _default(number: int, value: Any) -> bytes:
    """Write a default: a choice of number, boolean and string, which leaves maps and lists empty."""
    match value:
        case bool():
            return sized(number, choice_of_flag(2, value))
        case int() | float():
            return sized(number, choice_of_number(1, float(value)))
        case str():
            return sized(number, text(3, value))
        case _:
            return sized(number, b"")


_security = _each(named_each(lambda number, names: sized(number, texts(1, names))))
_strings = named_each(text)
_OPERATION: Final = _one("Operation")
_SCHEMA: Final = _or_reference("Schema")
_SCHEMAS: Final = _each(_SCHEMA)
_PARAMETERS: Final = _each(_or_reference("Parameter"))
_CONTENT: Final = named_each(_one("MediaType"))
_EXTERNAL: Final = _one("ExternalDocs")

_MESSAGES.rows |= {
    "Document": {
        "openapi": (1, text), "info": (2, _one("Info")), "servers": (3, _MESSAGES.many("Server")),
        "paths": (4, _paths), "components": (5, _one("Components")), "security": (6, _security),
        "tags": (7, _MESSAGES.many("Tag")), "externalDocs": (8, _EXTERNAL), "x-": (9, any_),
    },
    "Info": {
        "title": (1, text), "description": (2, text), "termsOfService": (3, text),
        "version": (6, text), "x-": (7, any_),
    },
    "Server": {"url": (1, text), "description": (2, text), "x-": (4, any_)},
    "Tag": {
        "name": (1, text), "description": (2, text), "externalDocs": (3, _EXTERNAL),
        "x-": (4, any_),
    },
    "ExternalDocs": {"description": (1, text), "url": (2, text), "x-": (3, any_)},
    "Components": {
        "schemas": (1, named_each(_SCHEMA)),
        "responses": (2, named_each(_or_reference("Response"))),
        "parameters": (3, named_each(_or_reference("Parameter"))),
        "requestBodies": (5, named_each(_or_reference("RequestBody"))),
        "securitySchemes": (7, named_each(_or_reference("SecurityScheme"))),
        "x-": (10, any_),
    },
    "SecurityScheme": {
        "type": (1, text), "description": (2, text), "name": (3, text),
        "in": (4, text), "scheme": (5, text), "bearerFormat": (6, text),
        "openIdConnectUrl": (8, text), "x-": (9, any_),
    },
    "PathItem": {
        "$ref": (1, text), "summary": (2, text), "description": (3, text),
        "get": (4, _OPERATION), "put": (5, _OPERATION), "post": (6, _OPERATION), "delete": (7, _OPERATION),
        "options": (8, _OPERATION), "head": (9, _OPERATION), "patch": (10, _OPERATION),
        "trace": (11, _OPERATION), "parameters": (13, _PARAMETERS), "x-": (14, any_),
    },
    "Operation": {
        "tags": (1, texts), "summary": (2, text), "description": (3, text),
        "externalDocs": (4, _EXTERNAL), "operationId": (5, text), "parameters": (6, _PARAMETERS),
        "requestBody": (7, _or_reference("RequestBody")), "responses": (8, _responses),
        "deprecated": (10, flag), "security": (11, _security), "x-": (13, any_),
    },
    "Parameter": {
        "name": (1, text), "in": (2, text), "description": (3, text),
        "required": (4, flag), "deprecated": (5, flag), "allowEmptyValue": (6, flag),
        "style": (7, text), "explode": (8, flag), "allowReserved": (9, flag),
        "schema": (10, _SCHEMA), "example": (11, any_), "content": (13, _CONTENT),
        "x-": (14, any_),
    },
    "RequestBody": {
        "description": (1, text), "content": (2, _CONTENT), "required": (3, flag),
        "x-": (4, any_),
    },
    "Response": {"description": (1, text), "content": (3, _CONTENT), "x-": (5, any_)},
    "MediaType": {"schema": (1, _SCHEMA), "example": (2, any_), "x-": (5, any_)},
    "Reference": {"$ref": (1, text), "summary": (2, text), "description": (3, text)},
    "Discriminator": {"propertyName": (1, text), "mapping": (2, _strings), "x-": (3, any_)},
    "Schema": {
        "nullable": (1, flag), "discriminator": (2, _one("Discriminator")),
        "readOnly": (3, flag), "writeOnly": (4, flag), "externalDocs": (6, _EXTERNAL),
        "example": (7, any_), "deprecated": (8, flag), "title": (9, text),
        "multipleOf": (10, double), "maximum": (11, double),
        "exclusiveMaximum": (12, flag), "minimum": (13, double),
        "exclusiveMinimum": (14, flag), "maxLength": (15, integer),
        "minLength": (16, integer), "pattern": (17, text), "maxItems": (18, integer),
        "minItems": (19, integer), "uniqueItems": (20, flag),
        "maxProperties": (21, integer), "minProperties": (22, integer),
        "required": (23, texts), "enum": (24, anys), "type": (25, text),
        "allOf": (26, _SCHEMAS), "oneOf": (27, _SCHEMAS), "anyOf": (28, _SCHEMAS), 
        "not": (29, _one("Schema")),
        "items": (30, _items), "properties": (31, named_each(_SCHEMA)),
        "additionalProperties": (32, _additional), "default": (33, _default), "description": (34, text),
        "format": (35, text), "x-": (36, any_),
    },
}  # fmt: skip
