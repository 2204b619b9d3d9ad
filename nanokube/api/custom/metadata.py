"""Metadata of custom resources and of the resources embedded in them: known fields, right types. Pure.

Source: apiextensions-apiserver/pkg/apiserver/schema/objectmeta.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from nanokube.api import facts, field, schema, walk
from nanokube.api.custom.node import Node
from nanokube.api.custom.problems import at
from nanokube.api.field import FieldError
from nanokube.api.validation import formats, metadata, names

OBJECT_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class Malformed(ValueError):
    """Metadata of the wrong types; `path` is where, the message Go's."""

    def __init__(self, path: str, value: Any, message: str) -> None:
        super().__init__(message)
        self.path, self.value = path, value

    def __str__(self) -> str:
        message = str(self.args[0])
        return f"{self.path}: Invalid value: {field.quote(self.value)}: {message}" if self.path else message


@cache
def _schema() -> schema.Schema:
    return schema.Schema(facts.definition(OBJECT_META))


def clean(value: Any) -> tuple[dict[str, Any], list[str]]:
    """Return canonical metadata and the paths of unknown fields. Raises walk.WrongType."""
    if type(value) is not dict:
        name = {str: "string", bool: "bool", list: "array"}.get(type(value), "number")
        raise walk.WrongType(f"json: cannot unmarshal {name} into Go value of type v1.ObjectMeta")
    found = _schema().clean_quickly(value)
    if found is not None:
        return found, []
    found, problems = walk.prune(facts.definition(OBJECT_META), value)
    return found, [text.removeprefix('unknown field "').removesuffix('"') for text in problems]


def has_embedded(node: Node) -> bool:
    """Tell whether a schema embeds resources anywhere."""
    return node.is_embedded or any(has_embedded(child) for _, child in node.children())


def coerce(node: Node | None, value: Any, path: str, unknown: list[str]) -> None:
    """Clean the metadata of embedded resources in place, adding unknown paths. Raises Malformed."""
    if node is None:
        return
    if type(value) is dict:
        for key in list(value):
            if node.is_embedded:
                _coerce_member(value, key, path, unknown)
            child = node.child(key)
            if child is not None:
                coerce(child, value[key], at(node, path, key), unknown)
    elif type(value) is list and node.items is not None:
        for index, item in enumerate(value):
            coerce(node.items, item, f"{path}[{index}]", unknown)


def _coerce_member(value: dict[str, Any], key: str, path: str, unknown: list[str]) -> None:
    if key in ("apiVersion", "kind"):
        if type(value[key]) is not str:
            raise Malformed(f"{path}.{key}".removeprefix("."), value[key], "must be a string")
    elif key == "metadata":
        here = f"{path}.{key}".removeprefix(".")
        try:
            value[key], found = clean(value[key] if value[key] is not None else {})
        except walk.WrongType as error:
            raise Malformed(here, value[key], str(error)) from error
        unknown += (f"{here}.{each}" for each in found)


def validate(node: Node | None, value: Any, path: str = "") -> list[FieldError]:
    """Check the embedded resources in a value."""
    if node is None:
        return []
    found: list[FieldError] = []
    if type(value) is dict:
        if node.is_embedded:
            found += _validate_resource(value, path)
        for key, member in value.items():
            child = node.child(key)
            if child is not None:
                found += validate(child, member, at(node, path, key))
    elif type(value) is list and node.items is not None:
        for index, item in enumerate(value):
            found += validate(node.items, item, f"{path}[{index}]")
    return found


def _validate_resource(value: dict[str, Any], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    at: Callable[[str], str] = lambda key: f"{path}.{key}".removeprefix(".")  # noqa: E731
    found += (field.required(at(key)) for key in ("apiVersion", "kind") if key not in value)
    for key in ("apiVersion", "kind"):
        text = value.get(key)
        if key not in value:
            continue
        if type(text) is not str:
            found.append(field.invalid(at(key), text, "must be a string"))
        elif not text:
            found.append(field.invalid(at(key), text, "must not be empty"))
        elif key == "apiVersion" and text.count("/") > 1:
            found.append(field.invalid(at(key), text, f"unexpected GroupVersion string: {text}"))
        elif key == "kind" and (bad := names.dns1035_label(text.lower())):
            detail = "may have mixed case, but should otherwise match: " + ",".join(bad)
            found.append(field.invalid(at(key), text, detail))
    return found + _validate_metadata(value.get("metadata"), at("metadata"))


def _validate_metadata(value: Any, path: str) -> list[FieldError]:
    if value is None:
        return []
    try:
        meta, _ = clean(value)
    except walk.WrongType as error:
        return [field.invalid(path, value, str(error))]
    named = {**meta, "name": meta.get("name") or "fakename"}
    errors = metadata.validate({"metadata": named}, bool(meta.get("namespace")), formats.path_segment)
    return [FieldError(e.type, path + e.path.removeprefix("metadata"), e.value, e.detail) for e in errors]
