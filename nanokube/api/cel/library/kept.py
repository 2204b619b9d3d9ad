"""Texts and patterns that expressions name in short: as constants they would be copied at each call.

State: the last few thousand. What is forgotten makes the expression an error.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any, Final

import re2

_MOST: Final = 4096
_texts: OrderedDict[str, frozenset[str]] = OrderedDict()
_patterns: OrderedDict[str, tuple[str, Any]] = OrderedDict()
_names = itertools.count()


def keep_texts(texts: frozenset[str]) -> str:
    """Keep texts; gives their name."""
    name = str(next(_names))
    _texts[name] = texts
    if len(_texts) > _MOST:
        _texts.popitem(last=False)
    return name


def texts_of(name: str) -> frozenset[str]:
    """Give the texts of a name. Raises ValueError."""
    try:
        _texts.move_to_end(name)
        return _texts[name]
    except KeyError as err:
        raise ValueError(f"cannot find texts {name}") from err


def compiled(pattern: str) -> Any:
    """Compile a pattern; None if that cannot be."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


def keep_pattern(pattern: str) -> str | None:
    """Compile and keep a pattern; gives its name, None if it cannot be compiled."""
    made = compiled(pattern)
    if made is None:
        return None
    name = str(next(_names))
    _patterns[name] = pattern, made
    if len(_patterns) > _MOST:
        _patterns.popitem(last=False)
    return name


def pattern_of(name: str) -> str:
    """Give the pattern of a name. Raises ValueError."""
    return _pattern(name)[0]


def compiled_of(name: str) -> Any:
    """Give the compiled pattern of a name. Raises ValueError."""
    return _pattern(name)[1]


def is_one_of(value: Any, name: str) -> bool:
    """Tell whether a value is one of the texts of a name."""
    return isinstance(value, str) and value in texts_of(name)


def matches(text: Any, name: str) -> bool:
    """Tell whether the pattern of a name is found in a text."""
    if not isinstance(text, str):
        raise ValueError("no such overload")
    return _pattern(name)[1].search(text) is not None


def _pattern(name: str) -> tuple[str, Any]:
    try:
        _patterns.move_to_end(name)
        return _patterns[name]
    except KeyError as err:
        raise ValueError(f"cannot find pattern {name}") from err
