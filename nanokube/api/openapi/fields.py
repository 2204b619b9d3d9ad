"""Protobuf of gnostic's messages, written by tables: what both versions of OpenAPI have in common. Pure.

A table names, for each message, what stands under a key of the JSON document: a field number and how its
value is written. Values of any type (examples, extensions) travel as YAML text, of which JSON is a part.
Source: protobuf.dev/programming-guides/encoding; google/gnostic-models.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

from nanokube.api.varint import varint

Write = Callable[[int, Any], bytes]
Row = tuple[int, Write]
_VARINT: Final = 0
_DOUBLE: Final = 1
_LENGTH: Final = 2


class Unknown(ValueError):
    """A key that the table does not have."""


class Messages:
    """Messages of one version.

    rows: message -> key of the JSON document -> field; "x-" is the field of vendor extensions.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Mapping[str, Row]] = {}

    def encode(self, name: str, value: Mapping[str, Any]) -> bytes:
        """Encode one message. Raises Unknown."""
        return b"".join(self._fields(name, value))

    def one(self, name: str) -> Write:
        """Write a message."""
        return lambda number, value: sized(number, self.encode(name, value))

    def many(self, name: str) -> Write:
        """Write a list of messages."""
        return lambda number, value: b"".join(sized(number, self.encode(name, each)) for each in value)

    def _fields(self, name: str, value: Mapping[str, Any]) -> Iterator[bytes]:
        table = self.rows[name]
        for key, each in value.items():
            if key.startswith("x-"):
                number, write = table["x-"]
                yield named(number, key, write(2, each))
            elif key in table:
                number, write = table[key]
                yield write(number, each)
            else:
                raise Unknown(f"cannot encode {key!r} of {name}")


def choice_of_flag(number: int, value: bool) -> bytes:
    """Write a boolean that is one of several choices, which is written though it is false."""
    return _tag(number, _VARINT) + bytes([value])


def choice_of_number(number: int, value: float) -> bytes:
    """Write a number that is one of several choices, which is written though it is zero."""
    return _tag(number, _DOUBLE) + struct.pack("<d", value)


def _tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def sized(number: int, value: bytes) -> bytes:
    """Write bytes, or a message."""
    return _tag(number, _LENGTH) + varint(len(value)) + value


def text(number: int, value: str) -> bytes:
    """Write a string."""
    return sized(number, value.encode())


def texts(number: int, value: list[str]) -> bytes:
    """Write a list of strings."""
    return b"".join(text(number, each) for each in value)


def flag(number: int, value: bool) -> bytes:
    """Write a boolean, unless it is false."""
    return _tag(number, _VARINT) + b"\x01" if value else b""


def integer(number: int, value: int) -> bytes:
    """Write an integer, unless it is zero."""
    return _tag(number, _VARINT) + varint(value) if value else b""


def double(number: int, value: float) -> bytes:
    """Write a double, unless it is zero."""
    return _tag(number, _DOUBLE) + struct.pack("<d", value) if value else b""


def any_(number: int, value: Any) -> bytes:
    """Write a value of any type."""
    return sized(number, text(2, orjson.dumps(value).decode() + "\n"))


def anys(number: int, value: list[Any]) -> bytes:
    """Write a list of such values."""
    return b"".join(any_(number, each) for each in value)


def named(number: int, name: str, value: bytes) -> bytes:
    """Write an entry of a map."""
    return sized(number, text(1, name) + value)


def named_each(write: Write) -> Write:
    """Write a map as a message whose first field repeats (name, value)."""
    return lambda number, value: sized(number, b"".join(named(1, k, write(2, v)) for k, v in value.items()))
