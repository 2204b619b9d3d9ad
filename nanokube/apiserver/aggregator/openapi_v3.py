"""Version 3 of what an extension server says in version 2 alone. Pure.

Source: kube-openapi pkg/openapiconv/convert.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nanokube.apiserver.aggregator.openapi import REFERENCE, Part

Object = Mapping[str, Any]

_REFERENCE: Final = "#/components/schemas/"
_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_SIMPLE: Final = ("type", "format", "uniqueItems")  # what a parameter says itself, if it has no schema
_KEPT: Final = ("name", "in", "description", "required", "allowEmptyValue", "schema")


def of(part: Part) -> Part:
    """Give paths, and the component schemas as definitions. Raises AttributeError, TypeError: no document."""
    paths = {path: _path(item) for path, item in part.paths.items()}
    return Part(paths, {name: _schema(each) for name, each in part.definitions.items()})


def _path(item: Object) -> dict[str, Any]:
    found = _extensions(item)
    found |= {method: _operation(item[method]) for method in _METHODS if method in item}
    if item.get("parameters"):
        found["parameters"] = [_parameter(each) for each in item["parameters"]]
    return found


def _operation(operation: Object) -> dict[str, Any]:
    found = _extensions(operation)
    for key in ("tags", "summary", "description", "externalDocs", "operationId", "deprecated"):
        if key in operation:
            found[key] = operation[key]
    parameters = []
    for each in operation.get("parameters") or ():
        if each.get("name") == "body" and "schema" in each:
            found["requestBody"] = {"content": _content(operation.get("consumes"), each["schema"])}
        else:
            parameters.append(_parameter(each))
    if parameters:
        found["parameters"] = parameters
    answers = operation.get("responses") or {}
    found["responses"] = {code: _response(each, operation.get("produces")) for code, each in answers.items()}
    return found


def _content(types: Sequence[str] | None, schema: Object) -> dict[str, Any]:
    return {each: {"schema": _schema(schema)} for each in types or ()}


def _parameter(parameter: Object) -> dict[str, Any]:
    if "$ref" in parameter:
        return {"$ref": parameter["$ref"].replace("#/parameters/", "#/components/parameters/", 1)}
    found = _extensions(parameter) | {key: parameter[key] for key in _KEPT if key in parameter}
    simple = {key: parameter[key] for key in _SIMPLE if key in parameter}
    found["schema"] = _schema(parameter.get("schema") or simple)
    return found


def _response(response: Any, produces: Sequence[str] | None) -> Any:
    if not isinstance(response, Mapping):  # an extension
        return response
    if "$ref" in response:
        return {"$ref": response["$ref"].replace("#/responses/", "#/components/responses/", 1)}
    found = _extensions(response) | {"description": response.get("description", "")}
    if "schema" in response:
        found["content"] = _content(produces, response["schema"])
    return found


def _schema(schema: Any) -> Any:
    """Point a schema's references to components; one that has more to say has it in allOf."""
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "$ref":
                found[key] = _REFERENCE + value.removeprefix(REFERENCE)
            case "properties":
                found[key] = {name: _schema(each) for name, each in value.items()}
            case "items" if isinstance(value, list):
                found[key] = [_schema(each) for each in value]
            case "items" | "additionalProperties" | "additionalItems":
                found[key] = _schema(value)
            case _:
                found[key] = value
    if "$ref" in found and len(found) > 1:
        found = {"allOf": [{"$ref": found.pop("$ref")}], **found}
    return found


def _extensions(source: Object) -> dict[str, Any]:
    return {key: value for key, value in source.items() if key.startswith("x-")}
