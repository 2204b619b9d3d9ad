"""Rules of the protobuf form of OpenAPI v2, read back by a generic reader of fields."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml

from nanokube.api import openapi
from nanokube.api.openapi import gnostic
from tests.unit.nanokube.api.openapi import wire

Fields = list[tuple[int, Any]]


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
    assert wire.first(document, 9, 1, 2, *path) == value


@pytest.mark.parametrize(
    ("where", "path"),
    [("body", (1, 1)), ("query", (1, 2, 3)), ("path", (1, 2, 4)), ("header", (1, 2, 1))],
)
def test_place_of_a_parameter_decides_its_message(where: str, path: tuple[int, ...]) -> None:
    parameter = {"name": "n", "in": where}
    document = gnostic.encode({"paths": {"/x": {"parameters": [parameter]}}})
    number = {"body": 2}.get(where, 4)
    assert wire.first(document, 8, 2, 2, 9, *path, number) == b"n"


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(gnostic.Unknown, match="'anyOf' of Schema"):
        gnostic.encode({"definitions": {"d": {"anyOf": []}}})


def test_whole_document_has_what_kubectl_looks_up() -> None:
    swagger = orjson.loads(openapi.v2_document())
    document = gnostic.encode(swagger)
    definitions = [v for n, v in wire.read(wire.first(document, 9)) if n == 1]
    assert [wire.first(d, 1).decode() for d in definitions] == list(swagger["definitions"])
    paths = {
        wire.first(p, 1).decode(): wire.first(p, 2) for n, p in wire.read(wire.first(document, 8)) if n == 2
    }
    patch = wire.first(paths["/api/v1/namespaces/{namespace}/pods/{name}"], 8)
    extensions = {
        wire.first(v, 1): yaml.safe_load(wire.first(v, 2, 2)) for n, v in wire.read(patch) if n == 13
    }
    assert extensions[b"x-kubernetes-group-version-kind"] == {"group": "", "version": "v1", "kind": "Pod"}
