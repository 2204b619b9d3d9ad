"""JSON patch. Pure. Source: RFC 6902, RFC 6901; the limit is kube-apiserver's.

As its library does, a member that is not there may be replaced, and copied as null.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from nanokube.api import objects
from nanokube.api.errors import ApiError

MAX_OPERATIONS: Final = 10_000
MAX_COPIED_BYTES: Final = 3 << 20  # of JSON, in all: who copies the whole into its part doubles it each time
_INDEX: Final = re.compile(r"0|[1-9][0-9]*")


def apply(target: Any, operations: Any) -> Any:
    """Return the target with the operations done in order, all or nothing.

    Raises ApiError: 400 for what is no list of objects (null is an empty one), 413 for too many
    operations, 422 where one is malformed or cannot be done.
    """
    operations = [] if operations is None else operations
    if type(operations) is not list or not all(type(o) is dict for o in operations):
        raise ApiError("BadRequest", 400, "error decoding patch: json patch must be an array of operations")
    if len(operations) > MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise ApiError("RequestEntityTooLarge", 413, f"Request entity too large: {message}")
    found, copies = objects.copy(target), _Copies()
    for operation in operations:
        found = _do(found, operation, copies)
    return found


class _Copies:
    """Counts what is copied."""

    def __init__(self) -> None:
        self._bytes = 0

    def make(self, value: Any) -> Any:
        """Copy a value. Raises ApiError (422): too much."""
        try:
            self._bytes += len(orjson.dumps(value))
        except TypeError as err:  # nested too deeply
            raise _impossible(f"cannot copy: {err}") from err
        if self._bytes > MAX_COPIED_BYTES:
            text = f"the accumulated size increase of copy is {self._bytes}"
            raise _impossible(f"Unable to complete the copy, {text}, exceeding the limit {MAX_COPIED_BYTES}")
        return objects.copy(value)


def _do(document: Any, operation: dict[str, Any], copies: _Copies) -> Any:
    op, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise _malformed("operation has no path")
    tokens = _tokens(path)
    match op:
        case "test":
            return _test(document, tokens, operation.get("value"), path)
        case "remove":
            return _remove(document, tokens, path)
        case "add" | "replace":
            if "value" not in operation:
                raise _malformed(f"{op} operation has no value")
            put = _add if op == "add" else _replace
            return put(document, tokens, objects.copy(operation["value"]), path)
        case "move":
            return _move(document, operation, tokens, path)
        case "copy":
            source = _source(operation)
            return _add(document, tokens, copies.make(_member(document, _tokens(source), source)), path)
    raise _malformed(f"unexpected kind: {op}")


def _move(document: Any, operation: dict[str, Any], tokens: list[str], path: str) -> Any:
    source = _source(operation)
    if (path + "/").startswith(source + "/") and path != source:
        raise _impossible(f"cannot move {source} into itself")
    value = _get(document, _tokens(source), source)
    return _add(_remove(document, _tokens(source), source), tokens, value, path)


def _source(operation: dict[str, Any]) -> str:
    source = operation.get("from")
    if not isinstance(source, str):
        raise _malformed("operation has no from")
    return source


def _tokens(path: str) -> list[str]:
    if path == "":
        return []
    if path[0] != "/":
        raise _malformed(f"path {path} must start with /")
    return [t.replace("~1", "/").replace("~0", "~") for t in path[1:].split("/")]


def _get(document: Any, tokens: list[str], path: str) -> Any:
    for token in tokens:
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list):
            document = document[_index(document, token, path)]
        else:
            raise _impossible(f"missing path: {path}")
    return document


def _index(items: list[Any], token: str, path: str, *, end: int = 0) -> int:
    if _INDEX.fullmatch(token) is None or len(token) > 9 or int(token) >= len(items) + end:
        raise _impossible(f"invalid array index in path: {path}")
    return int(token)


def _test(document: Any, tokens: list[str], expected: Any, path: str) -> Any:
    try:
        value = _get(document, tokens, path)
    except ApiError:
        if expected is None:  # an absent value equals null, as in the peer's library
            return document
        parent = _get(document, tokens[:-1], path)
        if not isinstance(parent, dict):
            raise
        value = None  # what is not in an object that is there differs; a path into nothing is a mistake
    if not _equal(value, expected):
        raise _impossible(f"testing value {path} failed: test failed")
    return document


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(v, b[k]) for k, v in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


def _add(document: Any, tokens: list[str], value: Any, path: str) -> Any:
    if not tokens:
        return value
    parent, last = _get(document, tokens[:-1], path), tokens[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(parent, last, path, end=1), value)
    else:
        raise _impossible(f"missing path: {path}")
    return document


def _replace(document: Any, tokens: list[str], value: Any, path: str) -> Any:
    if not tokens:
        return value
    _member(document, tokens, path)
    parent, last = _get(document, tokens[:-1], path), tokens[-1]
    parent[last if isinstance(parent, dict) else int(last)] = value
    return document


def _member(document: Any, tokens: list[str], path: str) -> Any:
    """Look a value up; None for one that its object does not have."""
    parent = _get(document, tokens[:-1], path)
    if tokens and isinstance(parent, dict) and tokens[-1] not in parent:
        return None
    return _get(document, tokens, path)


def _remove(document: Any, tokens: list[str], path: str) -> Any:
    if not tokens:
        raise _impossible("cannot remove the whole document")
    _get(document, tokens, path)
    parent, last = _get(document, tokens[:-1], path), tokens[-1]
    del parent[last if isinstance(parent, dict) else int(last)]
    return document


def _malformed(cause: str) -> ApiError:
    """An operation that is none: told as one that cannot be done, as kube-apiserver tells it."""
    return _impossible(cause)


def _impossible(cause: str) -> ApiError:
    return ApiError(
        "Invalid", 422, f"the server rejected our request due to an error in our request: {cause}"
    )
