"""A Swagger 2.0 document in protobuf, as gnostic's `openapi.v2.Document`. Pure.

kubectl reads /openapi/v2 in this form only. The table names, for each message, what stands under a key of the
JSON document: a field number and how its value is written. Values of any type (defaults, vendor extensions)
travel as YAML text, of which JSON is a part.
Source: google/gnostic-models openapiv2/OpenAPIv2.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

CONTENT_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_Write = Callable[[int, Any], bytes]
_Row = tuple[int, _Write]
_VARINT, _DOUBLE, _LENGTH = 0, 1, 2


class Unknown(ValueError):
    """A key that the table does not have."""


def encode(document: Mapping[str, Any]) -> bytes:
    """Encode a Swagger 2.0 document. Raises Unknown."""
    return _message("Document", document)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _bytes(number: int, value: bytes) -> bytes:
    return _tag(number, _LENGTH) + _varint(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _texts(number: int, value: list[str]) -> bytes:
    return b"".join(_text(number, each) for each in value)


def _flag(number: int, value: bool) -> bytes:
    return _tag(number, _VARINT) + b"\x01" if value else b""


def _integer(number: int, value: int) -> bytes:
    return _tag(number, _VARINT) + _varint(value) if value else b""


def _number(number: int, value: float) -> bytes:
    return _tag(number, _DOUBLE) + struct.pack("<d", value) if value else b""


def _any(number: int, value: Any) -> bytes:
    return _bytes(number, _text(2, orjson.dumps(value).decode() + "\n"))


def _anys(number: int, value: list[Any]) -> bytes:
    return b"".join(_any(number, each) for each in value)


def _one(name: str) -> _Write:
    return lambda number, value: _bytes(number, _message(name, value))


def _many(name: str) -> _Write:
    return lambda number, value: b"".join(_bytes(number, _message(name, each)) for each in value)


def _named(number: int, name: str, value: bytes) -> bytes:
    return _bytes(number, _text(1, name) + value)


def _named_each(write: _Write) -> _Write:
    """Write a map as a message whose first field repeats (name, value)."""
    return lambda number, value: _bytes(number, b"".join(_named(1, k, write(2, v)) for k, v in value.items()))


def _paths(number: int, value: Mapping[str, Any]) -> bytes:
    return _bytes(number, b"".join(_named(2, path, _one("PathItem")(2, v)) for path, v in value.items()))


def _responses(number: int, value: Mapping[str, Any]) -> bytes:
    """Write answers by status; each is a response (1), not a reference."""
    body = (_named(1, code, _bytes(2, _one("Response")(1, v))) for code, v in value.items())
    return _bytes(number, b"".join(body))


def _parameters(number: int, value: list[Mapping[str, Any]]) -> bytes:
    return b"".join(_bytes(number, _parameter(each)) for each in value)


def _parameter(value: Mapping[str, Any]) -> bytes:
    """Write ParametersItem.parameter, whose kind `in` decides. Raises Unknown."""
    where = value["in"]
    if where == "body":
        return _bytes(1, _one("BodyParameter")(1, value))
    choice = {"header": 1, "formData": 2, "query": 3, "path": 4}.get(where)
    if choice is None:
        raise Unknown(f"cannot encode a parameter in {where!r}")
    table = "NamedParameter" if where in ("header", "path") else "QueryParameter"
    return _bytes(1, _bytes(2, _one(table)(choice, value)))


def _additional(number: int, value: Any) -> bytes:
    inner = _tag(2, _VARINT) + bytes([value]) if type(value) is bool else _one("Schema")(1, value)
    return _bytes(number, inner)


def _type(number: int, value: str | list[str]) -> bytes:
    return _bytes(number, _texts(1, [value] if type(value) is str else list(value)))


def _items(number: int, value: Any) -> bytes:
    return _bytes(number, _many("Schema")(1, value if type(value) is list else [value]))


def _answer_schema(number: int, value: Any) -> bytes:
    return _bytes(number, _one("Schema")(1, value))


def _security(number: int, value: list[Mapping[str, list[str]]]) -> bytes:
    each_name = _named_each(lambda inner, names: _bytes(inner, _texts(1, names)))
    return b"".join(each_name(number, each) for each in value)


def _api_keys(number: int, value: Mapping[str, Any]) -> bytes:
    """Write securityDefinitions; every one of ours is an API key (choice 2)."""
    return _named_each(lambda inner, each: _bytes(inner, _one("ApiKeySecurity")(2, each)))(number, value)


def _primitive(first: int) -> dict[str, _Row]:
    """Rows from `type` on, which parameters of all places have in the same order."""
    writers: tuple[tuple[str, _Write], ...] = (
        ("type", _text), ("format", _text), ("items", _one("PrimitivesItems")), ("collectionFormat", _text),
        ("default", _any), ("maximum", _number), ("exclusiveMaximum", _flag), ("minimum", _number),
        ("exclusiveMinimum", _flag), ("maxLength", _integer), ("minLength", _integer), ("pattern", _text),
        ("maxItems", _integer), ("minItems", _integer), ("uniqueItems", _flag), ("enum", _anys),
        ("multipleOf", _number), ("x-", _any),
    )  # fmt: skip
    return {key: (first + i, write) for i, (key, write) in enumerate(writers)}


_PARAMETER: Final[dict[str, _Row]] = {
    "required": (1, _flag), "in": (2, _text), "description": (3, _text), "name": (4, _text),
}  # fmt: skip
_OPERATION: Final = _one("Operation")

# message -> key of the JSON document -> field; "x-" is the field of vendor extensions
_MESSAGES: Final[Mapping[str, Mapping[str, _Row]]] = {
    "Document": {
        "swagger": (1, _text), "info": (2, _one("Info")), "host": (3, _text), "basePath": (4, _text),
        "schemes": (5, _texts), "consumes": (6, _texts), "produces": (7, _texts), "paths": (8, _paths),
        "definitions": (9, _named_each(_one("Schema"))), "security": (12, _security),
        "securityDefinitions": (13, _api_keys), "x-": (16, _any),
    },
    "Info": {"title": (1, _text), "version": (2, _text), "description": (3, _text), "x-": (7, _any)},
    "ApiKeySecurity": {
        "type": (1, _text), "name": (2, _text), "in": (3, _text), "description": (4, _text), "x-": (5, _any),
    },
    "PathItem": {
        "get": (2, _OPERATION), "put": (3, _OPERATION), "post": (4, _OPERATION), "delete": (5, _OPERATION),
        "options": (6, _OPERATION), "head": (7, _OPERATION), "patch": (8, _OPERATION),
        "parameters": (9, _parameters), "x-": (10, _any),
    },
    "Operation": {
        "tags": (1, _texts), "summary": (2, _text), "description": (3, _text), "operationId": (5, _text),
        "produces": (6, _texts), "consumes": (7, _texts), "parameters": (8, _parameters),
        "responses": (9, _responses), "schemes": (10, _texts), "deprecated": (11, _flag), "x-": (13, _any),
    },
    "BodyParameter": {
        "description": (1, _text), "name": (2, _text), "in": (3, _text), "required": (4, _flag),
        "schema": (5, _one("Schema")), "x-": (6, _any),
    },
    "NamedParameter": _PARAMETER | _primitive(5),
    "QueryParameter": _PARAMETER | {"allowEmptyValue": (5, _flag)} | _primitive(6),
    "PrimitivesItems": _primitive(1),
    "Response": {"description": (1, _text), "schema": (2, _answer_schema), "x-": (5, _any)},
    "Schema": {
        "$ref": (1, _text), "format": (2, _text), "title": (3, _text), "description": (4, _text),
        "default": (5, _any), "multipleOf": (6, _number), "maximum": (7, _number),
        "exclusiveMaximum": (8, _flag), "minimum": (9, _number), "exclusiveMinimum": (10, _flag),
        "maxLength": (11, _integer), "minLength": (12, _integer), "pattern": (13, _text),
        "maxItems": (14, _integer), "minItems": (15, _integer), "uniqueItems": (16, _flag),
        "maxProperties": (17, _integer), "minProperties": (18, _integer), "required": (19, _texts),
        "enum": (20, _anys), "additionalProperties": (21, _additional), "type": (22, _type),
        "items": (23, _items), "allOf": (24, _many("Schema")),
        "properties": (25, _named_each(_one("Schema"))),
        "discriminator": (26, _text), "readOnly": (27, _flag), "example": (30, _any), "x-": (31, _any),
    },
}  # fmt: skip


def _message(name: str, value: Mapping[str, Any]) -> bytes:
    return b"".join(_fields(name, value))


def _fields(name: str, value: Mapping[str, Any]) -> Iterator[bytes]:
    table = _MESSAGES[name]
    for key, each in value.items():
        if key.startswith("x-"):
            number, write = table["x-"]
            yield _named(number, key, write(2, each))
        elif key in table:
            number, write = table[key]
            yield write(number, each)
        else:
            raise Unknown(f"cannot encode {key!r} of {name}")
