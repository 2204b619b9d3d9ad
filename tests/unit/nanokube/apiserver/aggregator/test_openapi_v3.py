"""What becomes of a version 2 document in version 3."""

from __future__ import annotations

from typing import Any

from nanokube.apiserver.aggregator import openapi_v3
from nanokube.apiserver.aggregator.openapi import Part

GADGET = {"$ref": "#/definitions/Gadget"}
V3_GADGET = {"$ref": "#/components/schemas/Gadget"}


def test_schemas_point_to_components() -> None:
    definition = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": GADGET,
            "b": {**GADGET, "description": "another", "default": {}},
            "c": {"type": "array", "items": GADGET},
            "d": {"type": "object", "additionalProperties": GADGET},
            "$ref": {"type": "string"},
        },
        "x-kubernetes-group-version-kind": [],
    }
    assert openapi_v3.of(Part({}, {"Gadget": definition})).definitions["Gadget"] == {
        **definition,
        "properties": {
            "a": V3_GADGET,
            "b": {"allOf": [V3_GADGET], "description": "another", "default": {}},
            "c": {"type": "array", "items": V3_GADGET},
            "d": {"type": "object", "additionalProperties": V3_GADGET},
            "$ref": {"type": "string"},
        },
    }


def test_operations_have_bodies_and_contents() -> None:
    operation: dict[str, Any] = {
        "operationId": "make",
        "consumes": ["application/json", "application/yaml"],
        "produces": ["application/json"],
        "parameters": [
            {"name": "body", "in": "body", "required": True, "schema": GADGET},
            {"name": "dryRun", "in": "query", "type": "string", "uniqueItems": True, "description": "no"},
        ],
        "responses": {"200": {"description": "OK", "schema": GADGET}, "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": "post",
    }
    shared = {"name": "namespace", "in": "path", "required": True, "type": "string"}
    found = openapi_v3.of(Part({"/a": {"post": operation, "parameters": [shared]}}, {}))
    content = {"schema": V3_GADGET}
    assert found.paths["/a"] == {
        "post": {
            "operationId": "make",
            "x-kubernetes-action": "post",
            "parameters": [
                {
                    "name": "dryRun",
                    "in": "query",
                    "description": "no",
                    "schema": {"type": "string", "uniqueItems": True},
                }
            ],
            "requestBody": {"content": {"application/json": content, "application/yaml": content}},
            "responses": {
                "200": {"description": "OK", "content": {"application/json": content}},
                "401": {"description": "Unauthorized"},
            },
        },
        "parameters": [{"name": "namespace", "in": "path", "required": True, "schema": {"type": "string"}}],
    }
