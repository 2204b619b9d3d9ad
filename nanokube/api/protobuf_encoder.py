"""Encode JSON trees as Kubernetes protobuf, for clients that accept nothing else. Pure.

The table of field numbers is the decoder's. What a tree does not have is not written: Go reads an absent
field as its zero, as it does in JSON.
Source: apimachinery/pkg/runtime/serializer/protobuf/doc.go (envelope),
protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import orjson

from nanokube.api import timestamps
from nanokube.api.protobuf import MAGIC, fields_of, message_of
from nanokube.api.varint import varint

_VARINT, _DOUBLE, _LENGTH = 0, 1, 2
_NANOS: Final = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def encode(obj: Mapping[str, Any]) -> bytes:
    """Encode an object or list with its envelope. Raises KeyError if its kind has no message."""
    api_version, kind = obj["apiVersion"], obj["kind"]
    name = message_of(api_version, kind)
    if name is None:
        raise KeyError(f"no message for {api_version} {kind}")
    type_meta = _field(1, api_version.encode()) + _field(2, kind.encode())
    return MAGIC + _field(1, type_meta) + _field(2, _message(name, obj)) + _field(3, b"") + _field(4, b"")


def frame(type_: str, obj: Mapping[str, Any]) -> bytes:
    """Encode one event of a watch: its length (4 bytes, big-endian), then metav1.WatchEvent."""
    event = _field(1, type_.encode()) + _field(2, _field(1, encode(obj)))
    return struct.pack(">I", len(event)) + event


@cache
def _plan(name: str) -> tuple[tuple[int, str, str, str], ...]:
    """A message's fields in order of their numbers: number, JSON key, code, name of the inner message."""
    return tuple(sorted((number, *field) for number, field in fields_of(name).items()))


def _message(name: str, obj: Mapping[str, Any]) -> bytes:
    out = bytearray()
    for number, key, code, inner in _plan(name):
        if code == ">":
            parts = _message(inner, obj)
            out += _field(number, parts) if parts else b""
            continue
        value = obj.get(key)
        if value is None:
            continue
        if code[0] == "a":
            for item in value:
                out += _value(number, code[1:], inner, item)
        elif code[0] == "m":
            for label, item in value.items():
                out += _field(number, _field(1, label.encode()) + _value(2, code[1:], inner, item))
        else:
            out += _value(number, code, inner, value)
    return bytes(out)


def _value(number: int, code: str, inner: str, value: Any) -> bytes:
    match code:
        case "@":
            return _field(number, _message(inner, value))
        case "?":
            return _field(number, _choice(inner, value))
        case "s" | "S":
            return _field(number, value.encode())
        case "b" | "B" | "i" | "I":
            return _integer(number, int(value))
        case "n" | "N":
            return varint(number << 3 | _DOUBLE) + struct.pack("<d", value)
    return _field(number, _TEXTS[code](value))


def _choice(name: str, value: Any) -> bytes:
    """Encode the field of a choice that holds such a value; a schema says that there may be any, too."""
    out = b""
    for number, _, code, inner in _plan(name):
        if code == "B":
            out += _integer(number, int(value is not False))
        elif code == "@" and type(value) is dict:
            out += _value(number, code, inner, value)
        elif code[0] == "a" and type(value) is list:
            out += b"".join(_value(number, code[1:], inner, item) for item in value)
    return out


def _field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | _LENGTH) + varint(len(data)) + data


def _integer(number: int, value: int) -> bytes:
    return varint(number << 3 | _VARINT) + varint(value)


def _int_or_string(value: Any) -> bytes:
    if isinstance(value, str):
        return _integer(1, 1) + _integer(2, 0) + _field(3, value.encode())
    return _integer(1, 0) + _integer(2, int(value)) + _field(3, b"")


def _time(value: str) -> bytes:
    """google.protobuf.Timestamp; no time at all is an empty message."""
    if not value:
        return b""
    micros = round(timestamps.parse(value) * 1_000_000)
    seconds, rest = divmod(micros, 1_000_000)
    return _integer(1, seconds) + _integer(2, rest * 1000)


def _duration(value: str) -> bytes:
    """Go's text of a duration ("1h2m3.5s") as nanoseconds."""
    sign = -1 if value.startswith("-") else 1
    parts = re.findall(r"([\d.]+)(h|ms|us|ns|m|s)", value.replace("µ", "u"))
    return _integer(1, sign * sum(round(float(count) * _NANOS[unit]) for count, unit in parts))


_TEXTS: Final[Mapping[str, Callable[[Any], bytes]]] = {
    "y": base64.b64decode,
    "q": lambda value: _field(1, str(value).encode()),
    "x": _int_or_string,
    "t": _time,
    "u": _time,
    "d": _duration,
    "r": lambda value: _field(1, orjson.dumps(value, option=orjson.OPT_SORT_KEYS)),
    "l": lambda value: b"".join(_field(1, text.encode()) for text in value),
}
