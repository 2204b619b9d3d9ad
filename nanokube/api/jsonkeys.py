"""Find keys that stand twice in one JSON object, which fast parsers silently merge. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

_ESCAPES: Final = (b"\\u003c", b"\\u003e", b"\\u0026")  # < > &


class _Repeated(dict[str, Any]):
    """An object in which some keys stood more than once."""

    keys_seen_twice: tuple[str, ...] = ()


def duplicates(body: bytes) -> list[str]:
    """Return the path of every duplicate key, in the order of the document. Raises ValueError on bad JSON.

    >>> duplicates(b'{"a": 1, "b": [{"c": 1, "c": 2}], "a": 2}')
    ['a', 'b[0].c']
    """
    try:
        # without a repeated key or white space, writing what was read gives as many bytes: ten times as fast
        if len(orjson.dumps(orjson.loads(body))) == _length(body.rstrip()):
            return []
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        pass
    has_any = False

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        nonlocal has_any
        has_any = True
        repeated, seen = _Repeated(found), set[str]()
        keys = [k for k, _ in pairs]
        repeated.keys_seen_twice = tuple(k for k in keys if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        return repeated

    tree = json.loads(body.decode("utf-8", "replace"), object_pairs_hook=build)
    paths: list[str] = []
    if has_any:
        _collect(tree, "", paths)
    return paths


def _length(body: bytes) -> int:
    """Return the length of a body without the escapes that Go writes for HTML's sake."""
    if b"\\u00" not in body:
        return len(body)
    return len(body) - 5 * sum(body.count(escape) for escape in _ESCAPES)


def _collect(value: Any, path: str, paths: list[str]) -> None:
    if isinstance(value, dict):
        if isinstance(value, _Repeated):
            paths.extend(f"{path}.{k}" if path else k for k in dict.fromkeys(value.keys_seen_twice))
        for key, item in value.items():
            _collect(item, f"{path}.{key}" if path else key, paths)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _collect(item, f"{path}[{index}]", paths)
