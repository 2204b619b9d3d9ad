"""The JSONPath of kubectl, as far as printer columns and selectable fields use it. Pure.

Fields, indexes, slices, unions, wildcards, recursive descent and filters (`[?(@.type=="Ready")]`).
Source: client-go/util/jsonpath/{parser,jsonpath}.go.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

Find = Callable[[Sequence[Any]], Iterator[Any]]

_FIELD: Final = re.compile(r"(?:\\.|[^\\.\[\]\s(){}])+")
_SLICE: Final = re.compile(r"\s*(-?\d*)\s*(?::\s*(-?\d*)\s*(?::\s*(-?\d*)\s*)?)?")
_FILTER: Final = re.compile(r"^\s*(.+?)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*$")
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class BadPath(ValueError):
    """A text that is no JSONPath."""


@lru_cache(1024)
def compile(path: str) -> Callable[[Any], list[Any]]:
    """Make a function that returns the values at a path; missing keys are no error. Raises BadPath."""
    steps = tuple(_parse(path))

    def find(value: Any) -> list[Any]:
        found: Sequence[Any] = (value,)
        for step in steps:
            found = tuple(step(found))
            if not found:
                return []
        return list(found)

    return find


def _parse(path: str) -> Iterator[Find]:
    at = 0
    if path.startswith(("$", "@")):
        at = 1
    while at < len(path):
        if path.startswith("..", at):
            yield _descend
            at += 2
            if at < len(path) and path[at] != "[":
                at -= 1
                if path[at] == ".":
                    at += 1
                    step, at = _name(path, at)
                    yield step
        elif path[at] == ".":
            at += 1
            if at < len(path) and path[at] not in ".[":
                step, at = _name(path, at)
                yield step
        elif path[at] == "[":
            end = _closing(path, at)
            yield _bracket(path[at + 1 : end])
            at = end + 1
        else:
            step, at = _name(path, at)
            yield step


def _name(path: str, at: int) -> tuple[Find, int]:
    if path.startswith("*", at):
        return _all, at + 1
    found = _FIELD.match(path, at)
    if found is None:
        raise BadPath(f"unrecognized character in path: {path[at:]!r}")
    return _field(re.sub(r"\\(.)", r"\1", found[0])), found.end()


def _closing(path: str, at: int) -> int:
    """Return where the bracket that opens here closes; quotes and nested brackets are skipped."""
    depth, quote = 0, ""
    for index in range(at, len(path)):
        char = path[index]
        if quote:
            quote = "" if char == quote and path[index - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if depth == 0:
                return index
    raise BadPath("unterminated array")


def _bracket(text: str) -> Find:
    text = text.strip()
    if text == "*":
        return _all
    if text.startswith("?(") and text.endswith(")"):
        return _filter(text[2:-1])
    if text[:1] in "'\"" and text[-1:] == text[:1] and len(text) > 1 and text[0] not in text[1:-1]:
        return _field(text[1:-1])
    if "," in text:
        return _union([_bracket(part) for part in text.split(",")])
    found = _SLICE.fullmatch(text)
    if found is None or not text:
        raise BadPath(f"invalid array index {text}")
    return _index(text, found)


def _field(name: str) -> Find:
    def find(values: Sequence[Any]) -> Iterator[Any]:
        for value in values:
            if type(value) is dict and name in value:
                yield value[name]

    return find


def _index(text: str, found: re.Match[str]) -> Find:
    first, last, by = (int(part) if part else None for part in found.groups())

    def find(values: Sequence[Any]) -> Iterator[Any]:
        for value in values:
            if type(value) is not list:
                continue
            if ":" in text:
                yield from value[slice(first, last, by)]
            elif first is not None and -len(value) <= first < len(value):
                yield value[first]

    return find


def _all(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if type(value) is dict:
            yield from value.values()
        elif type(value) is list:
            yield from value


def _descend(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        yield value
        yield from _descend(tuple(_all((value,))))


def _union(parts: Sequence[Find]) -> Find:
    def find(values: Sequence[Any]) -> Iterator[Any]:
        for part in parts:
            yield from part(values)

    return find


def _filter(text: str) -> Find:
    found = _FILTER.match(text)
    left = _operand(found[1] if found else text)
    right = _operand(found[3]) if found else None
    compare = _OPERATORS[found[2]] if found else None

    def holds(item: Any) -> bool:
        ours = left(item)
        if compare is None or right is None:
            return bool(ours)
        theirs = right(item)
        if len(ours) != 1 or len(theirs) != 1:
            return False
        try:
            return compare(ours[0], theirs[0])
        except TypeError:
            return False

    def find(values: Sequence[Any]) -> Iterator[Any]:
        for value in values:
            if type(value) is list:
                yield from (item for item in value if holds(item))

    return find


def _operand(text: str) -> Callable[[Any], list[Any]]:
    text = text.strip()
    if text[:1] in ("'", '"'):
        return lambda item: [text[1:-1]]
    if text in ("true", "false"):
        return lambda item: [text == "true"]
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        number = float(text) if "." in text else int(text)
        return lambda item: [number]
    return compile(text)
