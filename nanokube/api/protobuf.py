"""Decode Kubernetes protobuf bodies into JSON trees by a table of field numbers. Pure.

client-go sends built-in kinds this way by default (`kubectl create deployment` does). `data/protobuf.json`
is written by `scripts/generate-protobuf`: message -> field number -> [JSON name, code, message]. Codes:
s string, b boolean, i integer, n double (capital: a zero is kept, because the Go field is a pointer or always
written), y bytes, q quantity, x int-or-string, t time, u micro time, d duration, r raw JSON, l named list of
strings, @ message, > message whose fields belong to the parent, ? message of which one field is the value,
"a" or "m" before a code: list, map from string.
Source: apimachinery/pkg/runtime/serializer/protobuf/doc.go (envelope),
protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from nanokube.api import errors, facts, timestamps

MAGIC: Final = b"k8s\x00"
_DATA: Final = Path(__file__).with_name("data") / "protobuf.json"
_MAX_DEPTH: Final = 64
_LENGTH: Final = 2
_FIRST_S: Final = -62_135_596_800  # what RFC 3339 can say, in seconds since the epoch
_END_S: Final = 253_402_300_800
_WHOLE_BELOW: Final = 1 << 53  # numbers that Go's JSON writes without a fraction, digit for digit
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."


class _Malformed(Exception):
    """Bytes that are no message of the expected kind."""


def decode(body: bytes) -> dict[str, Any]:
    """Decode a body with its envelope into an object with apiVersion and kind. Raises ApiError (400)."""
    if body[:4] != MAGIC:
        expected = " ".join(map(str, MAGIC))
        raise errors.bad_request(
            f"provided data does not appear to be a protobuf message, expected prefix [{expected}]"
        )
    try:
        found, raw = _envelope(body)
        name = message_of(found["apiVersion"], found["kind"])
        if name is None:
            message = f'no kind "{found["kind"]}" is registered for version "{found["apiVersion"]}"'
            raise errors.bad_request(message)
        _message(raw, name, found, _MAX_DEPTH)
    except (
        _Malformed,
        IndexError,
        UnicodeDecodeError,
        ValueError,
        KeyError,
        TypeError,
        struct.error,
    ) as error:
        raise errors.bad_request(f"cannot decode protobuf: {error}") from error
    return found


def _envelope(body: bytes) -> tuple[dict[str, Any], bytes]:
    """Split `runtime.Unknown`: type in field 1, the object's bytes in field 2."""
    found, raw = {"apiVersion": "", "kind": ""}, b""
    for number, _, value in _fields(body, 4):
        if number == 1:
            for inner, _, text in _fields(_bytes(value), 0):
                key = {1: "apiVersion", 2: "kind"}.get(inner)
                if key:
                    found[key] = _bytes(text).decode()
        elif number == 2:
            raw = _bytes(value)
    return found, raw


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    table: Mapping[str, Mapping[str, Any]] = orjson.loads(_DATA.read_bytes())
    return table


@cache
def message_of(api_version: str, kind: str) -> str | None:
    """Return the name of a kind's message, if there is one."""
    group, _, version = api_version.rpartition("/")
    is_partial = group == "meta.k8s.io" and kind.startswith("PartialObjectMetadata")
    name = f"{_META}{kind}" if is_partial else facts.name_of(group, version, kind)
    return name if name in _table() else None


@cache
def fields_of(name: str) -> Mapping[int, tuple[str, str, str]]:
    """Return a message's fields by number: JSON name, code, inner message; empty if there is no message."""
    return {
        int(number): (field[0], field[1], field[2] if len(field) > 2 else "")
        for number, field in _table().get(name, {}).items()
    }


def _message(data: bytes, name: str, into: dict[str, Any], depth: int) -> dict[str, Any]:
    """Decode a message into a dict, skipping fields that the table does not know."""
    if depth == 0:
        raise _Malformed("messages are nested too deeply")
    known = fields_of(name)
    for number, wire, value in _fields(data, 0):
        field = known.get(number)
        if field is None:
            continue
        key, code, inner = field
        if code == ">":
            _message(_bytes(value), inner, into, depth - 1)
        elif code[0] == "a":
            into.setdefault(key, []).extend(_items(code[1:], inner, wire, value, depth))
        elif code[0] == "m":
            _entry(_bytes(value), code[1:], inner, into.setdefault(key, {}), depth)
        else:
            found = _value(code, inner, value, depth)
            if found is not None:
                into[key] = found
    return into


def _items(code: str, inner: str, wire: int, value: Any, depth: int) -> Iterator[Any]:
    if code == "i" and wire == _LENGTH:  # packed
        data, at = _bytes(value), 0
        while at < len(data):
            number, at = _varint(data, at)
            yield _signed(number)
    else:
        yield _value(code.upper() if code in "sbin" else code, inner, value, depth)


def _entry(data: bytes, code: str, inner: str, into: dict[str, Any], depth: int) -> None:
    key, raw = "", b""
    for number, _, value in _fields(data, 0):
        if number == 1:
            key = _bytes(value).decode()
        else:
            raw = value
    into[key] = _value(code.upper() if code in "sbin" else code, inner, raw, depth)


def _value(code: str, inner: str, value: Any, depth: int) -> Any:
    """Decode one value; None if it is a zero that Go would leave out of JSON."""
    if code == "@":
        return _message(_bytes(value), inner, {}, depth - 1)
    if code == "?":
        return _choice(_bytes(value), inner, depth)
    match code:
        case "s":
            return _bytes(value).decode() or None
        case "S":
            return _bytes(value).decode()
        case "b" | "B":
            return bool(value) or (False if code == "B" else None)
        case "i" | "I":
            return _signed(value) or (0 if code == "I" else None)
        case "n" | "N":
            number = struct.unpack("<d", value)[0]
            if number.is_integer() and abs(number) < _WHOLE_BELOW:
                number = int(number)
            return number or (0 if code == "N" else None)
    return _TEXTS[code](_bytes(value))


def _choice(data: bytes, name: str, depth: int) -> Any:
    """Decode a message that holds one of several things: a schema, or a list, or whether there may be any."""
    known, found, items = fields_of(name), None, list[Any]()
    for number, wire, value in _fields(data, 0):
        if number not in known:
            continue
        _, code, inner = known[number]
        if code[0] == "a":
            items.extend(_items(code[1:], inner, wire, value, depth))
        elif type(found) is not dict:
            found = _value(code, inner, value, depth)
    return items or found


def _quantity(data: bytes) -> str:
    return next((_bytes(v).decode() for n, _, v in _fields(data, 0) if n == 1), "0")


def _int_or_string(data: bytes) -> Any:
    found = {n: v for n, _, v in _fields(data, 0)}
    return _bytes(found.get(3, b"")).decode() if found.get(1) else _signed(found.get(2, 0))


def _seconds(data: bytes) -> float | None:
    found = {n: _signed(v) for n, _, v in _fields(data, 0)}
    if not found.get(1) and not found.get(2):
        return None
    seconds = int(found.get(1, 0)) + int(found.get(2, 0)) / 1e9
    if not _FIRST_S <= seconds < _END_S:
        raise _Malformed("a time is not within the years 1 to 9999")
    return seconds


def _time(data: bytes) -> str | None:
    seconds = _seconds(data)
    return None if seconds is None else timestamps.format_time(seconds)


def _micro_time(data: bytes) -> str | None:
    seconds = _seconds(data)
    return None if seconds is None else timestamps.format_micro(seconds)


def _duration(data: bytes) -> str:
    nanos = next((_signed(v) for n, _, v in _fields(data, 0) if n == 1), 0)
    return f"{nanos / 1e9:g}s"


def _raw(data: bytes) -> Any:
    text = next((_bytes(v) for n, _, v in _fields(data, 0) if n == 1), b"")
    return orjson.loads(text) if text else None


def _strings(data: bytes) -> list[str]:
    return [_bytes(v).decode() for n, _, v in _fields(data, 0) if n == 1]


_TEXTS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "y": lambda data: base64.b64encode(data).decode(),
    "q": _quantity,
    "x": _int_or_string,
    "t": _time,
    "u": _micro_time,
    "d": _duration,
    "r": _raw,
    "l": _strings,
}


def _fields(data: bytes, at: int) -> Iterator[tuple[int, int, Any]]:
    """Yield number, wire type and raw value: an int for a varint, bytes for the rest."""
    end = len(data)
    while at < end:
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value: Any
            value, at = _varint(data, at)
        else:
            size, at = _varint(data, at) if wire == _LENGTH else (_FIXED[wire], at)
            value = data[at : at + size]
            at += size
            if at > end:
                raise _Malformed("a field is longer than its message")
        yield tag >> 3, wire, value


_FIXED: Final = {1: 8, 5: 4}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            raise _Malformed("a number is longer than 64 bits")


def _signed(value: Any) -> int:
    if type(value) is not int:
        raise _Malformed("expected a number")
    number: int = value & ((1 << 64) - 1)
    return number - (1 << 64) if number >> 63 else number


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise _Malformed("expected bytes")
    return value
