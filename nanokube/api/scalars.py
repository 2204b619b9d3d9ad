"""Scalars with a textual form of their own: quantities, times, base64. Pure.

Each is a `str` subclass so that msgspec hands its text to `decode`, which checks it and returns the
canonical text.
"""

from __future__ import annotations

import base64
import binascii
import string
from functools import lru_cache
from typing import Any, Final

from nanokube.api import quantity, timestamps

# A cluster's objects repeat few quantities, and a status tells one time often.
_REMEMBERED: Final = 4096
_BASE64: Final = frozenset(string.ascii_letters + string.digits + "+/")


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


def _first_fault(value: str) -> int:
    """Say where Go stops reading what it refuses: at a wrong character, or where a quantum lacks some."""
    quantum = 0
    for place, character in enumerate(value):
        if character in "\r\n":
            continue
        if character == "=":
            return place if quantum < 2 else _fault_of_padding(value, place, quantum)
        if character not in _BASE64:
            return place
        quantum = (quantum + 1) % 4
    return len(value) - quantum


def _fault_of_padding(value: str, place: int, quantum: int) -> int:
    """Say what is wrong from the first "=" on: a second one is missing, or something follows the last."""
    after = [i for i in range(place + 1, len(value)) if value[i] not in "\r\n"]
    if quantum == 2:
        if not after:
            return len(value)
        if value[after[0]] != "=":
            return after[0] - 1
        after = after[1:]
    return after[0] if after else len(value)


def canonical_base64(value: str) -> str:
    """Return base64 without line breaks. Raises ValueError."""
    text = value.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"illegal base64 data at input byte {_first_fault(value)}") from error
    return text
