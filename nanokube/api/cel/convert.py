"""JSON values as the runtime takes them, by their declared types. Pure.

Most values are passed as they are. Times, bytes, and whole numbers where a type says `number` are not what
JSON has, so the objects that hold them are copied.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Callable
from typing import Any

from nanokube.api.cel import escaping, runtime
from nanokube.api.cel.types import Type

Convert = Callable[[Any], Any]

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]*\.?[0-9]+|[0-9]+\.)(ns|us|µs|μs|ms|s|m|h)")
_FRACTION = re.compile(r"\.([0-9]{1,9})")


def converter(declared: Type) -> Convert | None:
    """Make a function that converts values of a type; None if they need no conversion."""
    match declared.kind:
        case "double":
            return _double
        case "timestamp":
            return _timestamp
        case "duration":
            return _duration
        case "bytes":
            return _bytes
        case "list":
            return _items(converter(declared.params[0]))
        case "map":
            return _values(converter(declared.params[1]))
        case "struct":
            return _fields(declared)
    return None


def _items(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda value: [convert(item) for item in value] if isinstance(value, list) else value


def _values(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda value: (
        {key: convert(item) for key, item in value.items()} if isinstance(value, dict) else value
    )


def _fields(declared: Type) -> Convert | None:
    converters = {
        escaping.unescape(name) or name: convert
        for name, field in (declared.fields or {}).items()
        if (convert := converter(field)) is not None
    }
    if not converters:
        return None

    def convert_fields(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        copied = dict(value)
        for key, convert in converters.items():
            if key in copied:
                copied[key] = convert(copied[key])
        return copied

    return convert_fields


def _double(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value


def _timestamp(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value if "T" in value or "t" in value or " " in value else f"{value}T00:00:00Z"
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return value
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    fraction = _FRACTION.search(text)
    nanos = int(fraction[1].ljust(9, "0")) if fraction else 0
    return runtime.timestamp(moment.replace(microsecond=0), nanos)


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = nanoseconds(value)
    return value if found is None else runtime.span_of(found)


def nanoseconds(text: str) -> int | None:
    """Read a duration as Go writes it; None if it is not one."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total, at = 0, 0
    for part in _PART.finditer(rest):
        if part.start() != at:
            return None
        at = part.end()
        whole, _, decimals = part[1].partition(".")
        unit = _UNITS[part[2]]
        total += int(whole or "0") * unit + int(decimals or "0") * unit // 10 ** len(decimals)
    return sign * total if at == len(rest) and at > 0 and total < 1 << 63 else None
