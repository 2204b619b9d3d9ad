"""Regular expressions in the syntax of Go's regexp package, matched in linear time. Pure.

RE2 is the engine that Go's is a port of: the same syntax, and no pattern of a definition can stall the
server, as with Python's backtracking `re`. What it says of a malformed pattern is put in Go's words.
Source: regexp/syntax/parse.go (ErrorCode).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import re2

_REMEMBERED: Final = 4096
_LONGEST_REMEMBERED: Final = 256
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
# RE2's words -> Go's
_WORDS: Final = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "trailing \\": "trailing backslash at end of expression",
    "invalid character class": "invalid character class",
}


class BadPattern(ValueError):
    """A text that is no regular expression; the message is Go's."""


@lru_cache(_REMEMBERED)
def compile(pattern: str) -> Callable[[str], bool]:
    """Make a function that tells whether a text contains a match. Raises BadPattern."""
    search = _compiled(pattern).search

    @lru_cache(_REMEMBERED)
    def remembered(text: str) -> bool:
        return search(text) is not None

    def matches(text: str) -> bool:
        return remembered(text) if len(text) <= _LONGEST_REMEMBERED else search(text) is not None

    return matches


def check(pattern: str) -> str:
    """Return what is wrong with a pattern, in Go's words, or ""."""
    try:
        compile(pattern)
    except BadPattern as error:
        return str(error)
    return ""


def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        said = error.args[0]
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        rule, _, where = text.partition(": ")
        if rule == "missing )":
            where = pattern  # Go shows the whole
        raise BadPattern(f"error parsing regexp: {_WORDS.get(rule, rule)}: `{where}`") from error
