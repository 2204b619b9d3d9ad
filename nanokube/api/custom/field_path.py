"""Paths of fields as rules and selectable fields name them: `.spec.replicas`, `.labels['a.b']`. Pure.

Source: apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go (ValidFieldPath).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_TOKEN: Final = re.compile(r"'(?:\\.|[^'])*'|[.\[\]]|[^.\[\]]+")
_ESCAPES: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "'": "'",
    "\\": "\\",
}


class BadPath(ValueError):
    """A text that is no path, or of no field of the schema."""


def resolve(text: str, schema: Schema, *, with_brackets: bool = True) -> tuple[str, Schema | None]:
    """Return a path in canonical form ("spec.replicas", "labels[a.b]") and its schema. Raises BadPath."""
    tokens, path, here = iter(_TOKEN.findall(text)), "", schema
    for token in tokens:
        if token == "[":
            if not with_brackets:
                raise BadPath("array notation is not allowed")
            name = _quoted(tokens)
            path, here = _step(path, here, name)
            if (closing := _next(tokens)) != "]":
                raise BadPath(f"expected ] but got {closing}")
        elif token == ".":
            path, here = _step(path, here, _next(tokens))
        else:
            raise BadPath(f"expected [ or . but got: {token}")
    return path, here


def _next(tokens: Iterator[str]) -> str:
    found = next(tokens, None)
    if found is None:
        raise BadPath("unexpected end of JSON path")
    return found


def _quoted(tokens: Iterator[str]) -> str:
    token = _next(tokens)
    if len(token) < 2 or token[0] != "'" or token[-1] != "'":
        raise BadPath(f"expected single quoted string but got {token}")
    return re.sub(r"\\.", _unescape, token[1:-1])


def _unescape(found: re.Match[str]) -> str:
    if found[0][1] not in _ESCAPES:
        raise BadPath(f"invalid string literal: invalid escape char {found[0]}")
    return _ESCAPES[found[0][1]]


def _step(path: str, schema: Schema, name: str) -> tuple[str, Schema]:
    properties, others = schema.get("properties"), schema.get("additionalProperties")
    if properties:
        if name not in properties:
            raise BadPath("does not refer to a valid field")
        return (f"{path}.{name}" if path else name), properties[name]
    if others is None:
        raise BadPath("does not refer to a valid field")
    return f"{path}[{name}]", others if type(others) is dict else {}
