"""Schemas of definitions, with the descriptions of the installed kubernetes-validate package. Pure but for
reading it.

That package edits upstream's schemas for its own use (nullable types, enumerated kinds); this undoes the
edits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any, Final

import orjson

from nanokube.api import facts

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
STATUS: Final = f"{_META}.Status"
DELETE_OPTIONS: Final = f"{_META}.DeleteOptions"
PATCH: Final = f"{_META}.Patch"
WATCH_EVENT: Final = f"{_META}.WatchEvent"
_INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_VERSION: Final = "v1.36.0"

V2_PREFIX: Final = "#/definitions/"
V3_PREFIX: Final = "#/components/schemas/"


def v2(names: Iterable[str]) -> dict[str, Any]:
    """Build the definitions of Swagger 2.0 that the named ones need."""
    found = _closure(names, V2_PREFIX)
    found_quantity = found.get(_QUANTITY)
    if found_quantity is not None:
        found_quantity["type"] = "string"
    if _INT_OR_STRING in found:
        found[_INT_OR_STRING] |= {"type": "string", "format": "int-or-string"}
    return found


def v3(names: Iterable[str]) -> dict[str, Any]:
    """Build the component schemas of OpenAPI v3 that the named definitions need."""
    found = _closure(names, V3_PREFIX)
    if _QUANTITY in found:
        found[_QUANTITY]["oneOf"] = [{"type": "string"}, {"type": "number"}]
    if _INT_OR_STRING in found:
        found[_INT_OR_STRING] |= {
            "format": "int-or-string",
            "oneOf": [{"type": "integer"}, {"type": "string"}],
        }
    return found


def _closure(names: Iterable[str], prefix: str) -> dict[str, Any]:
    source, found, todo = _read(), dict[str, Any](), list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = _definition(name, source[name], prefix, todo)
    return dict(sorted(found.items()))


def _read() -> Mapping[str, Any]:
    base = resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"{_VERSION}-local"
    table: Mapping[str, Any] = orjson.loads((base / "_definitions.json").read_bytes())["$defs"]
    return table


def _definition(name: str, schema: Mapping[str, Any], prefix: str, todo: list[str]) -> dict[str, Any]:
    found = _schema(schema, prefix, todo)
    properties = found.get("properties")
    if properties is not None:
        defaults = facts.definition(name).fields
        for key, sub in properties.items():
            if defaults[key].default is not None:
                sub["default"] = defaults[key].default
            elif "allOf" in sub and defaults[key].is_written:
                sub["default"] = {}  # of a pointer it would be untrue: generators take it for always there
            if key in ("apiVersion", "kind"):
                sub.pop("enum", None)
    return found


def _schema(schema: Mapping[str, Any], prefix: str, todo: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "$ref":
                name = value.rsplit("/", 1)[1]
                todo.append(name)
                found["$ref"] = prefix + name
            case "type":
                found["type"] = next(t for t in value if t != "null") if type(value) is list else value
            case "properties":
                found[key] = {k: _schema(v, prefix, todo) for k, v in value.items()}
            case "items" | "additionalProperties":
                found[key] = _schema(value, prefix, todo) if type(value) is dict else value
            case "oneOf":
                pass  # quantities and int-or-string: set by the caller
            case _:
                found[key] = value
    if "$ref" in found and len(found) > 1 and prefix == V3_PREFIX:
        # in v3 a reference stands alone, so that what is beside it needs allOf
        found = {"allOf": [{"$ref": found.pop("$ref")}], **found}
    return found
