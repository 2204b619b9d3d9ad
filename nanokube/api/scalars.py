"""Scalars with a textual form of their own: quantities, times, base64. Pure.

Each is a `str` subclass so that msgspec hands its text to `decode`, which checks it and returns the
canonical text.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Any, Final

from nanokube.api import quantity, timestamps

# A cluster's objects repeat few quantities, and a status tells one time often.
_REMEMBERED: Final = 4096


class QuantityText(str):
    """A resource quantity in canonical form."""

    __slots__ = ()


class TimeText(str):
    """A `Time`, in UTC and whole seconds."""

    __slots__ = ()


class MicroTimeText(str):
    """A `MicroTime`, in UTC and microseconds."""

    __slots__ = ()


class Base64Text(str):
    """Bytes in standard base64."""

    __slots__ = ()


NO_BYTES: Final = Base64Text()
"""The one of no length: encoding leaves out what is identical with a field's default."""


def decode(type_: Any, value: Any) -> Any:
    """Check a scalar and return it in canonical form.

    Raises ValueError with Go's words, TypeError on a non-text.
    """
    if type_ is QuantityText:
        return QuantityText(_quantity(value) if type(value) is str else canonical_quantity(value))
    if not isinstance(value, str):
        raise TypeError("not a string")
    if type_ is Base64Text:
        return Base64Text(canonical_base64(value)) if value else NO_BYTES
    return type_(canonical_time(value) if type_ is TimeText else canonical_micro_time(value))


@lru_cache(_REMEMBERED)
def _quantity(value: str) -> str:
    return canonical_quantity(value)


def canonical_quantity(value: Any) -> str:
    """Return a quantity's canonical text. Raises ValueError, TypeError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError("not a quantity")
    return quantity.canonical(value.strip() if isinstance(value, str) else value)


@lru_cache(_REMEMBERED)
def canonical_time(value: str) -> str:
    """Return a time in UTC and whole seconds. Raises ValueError."""
    if len(value) == 20 and value[-1] == "Z":
        timestamps.parse(value)
        return value
    return timestamps.format_time(timestamps.parse(value))


@lru_cache(_REMEMBERED)
def canonical_micro_time(value: str) -> str:
    """Return a time in UTC and microseconds. Raises ValueError."""
    if len(value) == 27 and value[-1] == "Z":
        timestamps.parse(value)
        return value
    return timestamps.format_micro(timestamps.parse(value))


def canonical_base64(value: str) -> str:
    """Return base64 without line breaks. Raises ValueError."""
    text = value.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("illegal base64 data at input byte 0") from error
    return text
