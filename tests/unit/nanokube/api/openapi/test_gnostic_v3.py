"""Rules of the protobuf form of OpenAPI v3, read back by a generic reader of fields."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nanokube.api import openapi
from nanokube.api.openapi import gnostic_v3
from nanokube.api.resources import ALL
from tests.unit.nanokube.api.openapi import wire


@pytest.mark.parametrize(
    ("schema", "path", "value"),
    [
        ({"$ref": "#/components/schemas/x"}, (2, 1), b"#/components/schemas/x"),
        ({"type": "string"}, (1, 25), b"string"),
        ({"additionalProperties": False}, (1, 32, 2), 0),
        ({"additionalProperties": {"format": "byte"}}, (1, 32, 1, 1, 35), b"byte"),
        ({"additionalProperties": {"$ref": "r"}}, (1, 32, 1, 2, 1), b"r"),
        ({"items": {"description": "é"}}, (1, 30, 1, 1, 34), "é".encode()),
        ({"allOf": [{"$ref": "r"}]}, (1, 26, 2, 1), b"r"),
        ({"not": {"type": "integer"}}, (1, 29, 25), b"integer"),
        ({"default": {}}, (1, 33), b""),
        ({"default": False}, (1, 33, 2), 0),
        ({"default": ""}, (1, 33, 3), b""),
        ({"default": 0}, (1, 33, 1), bytes(8)),
        ({"enum": ["a"]}, (1, 24, 2), b'"a"\n'),
        ({"x-kubernetes-list-type": "map"}, (1, 36, 1), b"x-kubernetes-list-type"),
        ({"properties": {"name": {"nullable": True}}}, (1, 31, 1, 2, 1, 1), 1),
    ],
)
def test_schema_fields(schema: dict[str, Any], path: tuple[int, ...], value: Any) -> None:
    document = gnostic_v3.encode({"components": {"schemas": {"d": schema}}})
    assert wire.first(document, 5, 1, 1, 2, *path) == value


@pytest.mark.parametrize(("code", "path"), [("200", (2, 2, 1, 1)), ("default", (1, 1, 1))])
def test_status_decides_the_field_of_an_answer(code: str, path: tuple[int, ...]) -> None:
    item = {"get": {"responses": {code: {"description": "OK"}}}}
    assert wire.first(gnostic_v3.encode({"paths": {"/x": item}}), 4, 1, 2, 4, 8, *path) == b"OK"


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(gnostic_v3.Unknown, match="'const' of Schema"):
        gnostic_v3.encode({"components": {"schemas": {"d": {"const": 1}}}})


@pytest.mark.parametrize(("group", "version"), sorted({(r.group, r.version) for r in ALL}))
def test_whole_documents_have_all_schemas_and_paths(group: str, version: str) -> None:
    body = openapi.v3_document(group, version)
    assert body is not None
    plain = orjson.loads(body)
    document = gnostic_v3.encode(plain)
    schemas = [wire.first(v, 1).decode() for _, v in wire.read(wire.first(document, 5, 1))]
    paths = [wire.first(v, 1).decode() for n, v in wire.read(wire.first(document, 4)) if n == 1]
    assert (schemas, paths) == (list(plain["components"]["schemas"]), list(plain["paths"]))
