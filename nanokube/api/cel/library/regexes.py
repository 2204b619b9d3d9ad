"""Patterns in expressions, in RE2's syntax and linear time. Pure.

Source: k8s.io/apiserver/pkg/cel/library/regex.go.
"""

from __future__ import annotations

import functools
from typing import Any

import re2

from nanokube.api.cel.library.opaque import NoSuchOverload


def find(text: str, pattern: str) -> str:
    """`text.find(pattern)`: the first match, or nothing."""
    found = _compiled(_text(pattern)).search(_text(text))
    return "" if found is None else str(found.group())


def find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    """`text.findAll(pattern)`: all matches, or the first few."""
    found: list[str] = []
    if limit == 0:
        return found
    for match in _compiled(_text(pattern)).finditer(_text(text)):
        found.append(match.group())
        if len(found) == limit:
            break
    return found


def error(pattern: str) -> str | None:
    """Say what is wrong with a pattern; None if nothing is."""
    try:
        _compiled(pattern)
    except ValueError as err:
        return str(err)
    return None


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as err:
        reason = err.args[0] if err.args else ""
        text = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"Illegal regex: error parsing regexp: {text}") from err


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise NoSuchOverload
    return value
