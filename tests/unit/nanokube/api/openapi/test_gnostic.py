"""Rules of the protobuf form of OpenAPI v2, read back by a generic reader of fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import yaml

from nanokube.api import openapi
from nanokube.api.openapi import gnostic

Fields = list[tuple[int, Any]]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] > 0x7F:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def _read(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value: Any
            value, at = _varint(data, at)
        else:
            size, at = (8, at) if tag & 7 == 1 else _varint(data, at)
            value, at = data[at : at + size], at + size
        yield tag >> 3, value


def _first(data: bytes, *numbers: int) -> Any:
    for number in numbers:
        data = next(v for n, v in _read(data) if n == number)
    return data


@pytest.mark.parametrize(
    ("schema", "path", "value"),
    [
        ({"$ref": "#/definitions/x"}, (1,), b"#/definitions/x"),
        ({"type": "string"}, (22, 1), b"string"),
        ({"additionalProperties": False}, (21, 2), 0),
        ({"additionalProperties": {"format": "byte"}}, (21, 1, 2), b"byte"),
        ({"items": {"description": "é"}}, (23, 1, 4), "é".encode()),
        ({"required": ["a"]}, (19,), b"a"),
        ({"default": {}}, (5, 2), b"{}\n"),
        ({"x-kubernetes-list-type": "map"}, (31, 1), b"x-kubernetes-list-type"),
        ({"x-kubernetes-list-map-keys": ["a", "b"]}, (31, 2, 2), b'["a","b"]\n'),
        ({"properties": {"name": {"format": "int32"}}}, (25, 1, 1), b"name"),
        ({"properties": {"name": {"format": "int32"}}}, (25, 1, 2, 2), b"int32"),
    ],
)
def test_schema_fields(schema: dict[str, Any], path: tuple[int, ...], value: Any) -> None:
    document = gnostic.encode({"definitions": {"d": schema}})
    assert _first(document, 9, 1, 2, *path) == value


@pytest.mark.parametrize(
    ("where", "path"),
    [("body", (1, 1)), ("query", (1, 2, 3)), ("path", (1, 2, 4)), ("header", (1, 2, 1))],
)
def test_place_of_a_parameter_decides_its_message(where: str, path: tuple[int, ...]) -> None:
    parameter = {"name": "n", "in": where}
    document = gnostic.encode({"paths": {"/x": {"parameters": [parameter]}}})
    number = {"body": 2}.get(where, 4)
    assert _first(document, 8, 2, 2, 9, *path, number) == b"n"


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(gnostic.Unknown, match="'anyOf' of Schema"):
        gnostic.encode({"definitions": {"d": {"anyOf": []}}})


def test_whole_document_has_what_kubectl_looks_up() -> None:
    swagger = orjson.loads(openapi.v2_document())
    document = gnostic.encode(swagger)
    definitions = [v for n, v in _read(_first(document, 9)) if n == 1]
    assert [_first(d, 1).decode() for d in definitions] == list(swagger["definitions"])
    paths = {_first(p, 1).decode(): _first(p, 2) for n, p in _read(_first(document, 8)) if n == 2}
    patch = _first(paths["/api/v1/namespaces/{namespace}/pods/{name}"], 8)
    extensions = {_first(v, 1): yaml.safe_load(_first(v, 2, 2)) for n, v in _read(patch) if n == 13}
    assert extensions[b"x-kubernetes-group-version-kind"] == {"group": "", "version": "v1", "kind": "Pod"}
