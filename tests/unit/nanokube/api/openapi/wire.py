"""Reads protobuf fields without a schema."""

from collections.abc import Iterator
from typing import Any


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number; give it and where it ends."""
    value = shift = 0
    while data[at] > 0x7F:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def read(data: bytes) -> Iterator[tuple[int, Any]]:
    """Give each field's number and value: a number, or bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value: Any
            value, at = varint(data, at)
        else:
            size, at = (8, at) if tag & 7 == 1 else varint(data, at)
            value, at = data[at : at + size], at + size
        yield tag >> 3, value


def first(data: bytes, *numbers: int) -> Any:
    """Follow the first field of each number into the one before."""
    for number in numbers:
        data = next(v for n, v in read(data) if n == number)
    return data
