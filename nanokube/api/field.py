"""Field errors of validation: type, path, offending value, detail, and how Kubernetes prints them. Pure.

Source: staging/src/k8s.io/apimachinery/pkg/util/validation/field/errors.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

NOT_FOUND: Final = "FieldValueNotFound"
REQUIRED: Final = "FieldValueRequired"
DUPLICATE: Final = "FieldValueDuplicate"
INVALID: Final = "FieldValueInvalid"
NOT_SUPPORTED: Final = "FieldValueNotSupported"
FORBIDDEN: Final = "FieldValueForbidden"
TOO_LONG: Final = "FieldValueTooLong"
TOO_MANY: Final = "FieldValueTooMany"
TYPE_INVALID: Final = "FieldValueTypeInvalid"
INTERNAL: Final = "InternalError"

_TITLES: Final = {
    NOT_FOUND: "Not found",
    REQUIRED: "Required value",
    DUPLICATE: "Duplicate value",
    INVALID: "Invalid value",
    NOT_SUPPORTED: "Unsupported value",
    FORBIDDEN: "Forbidden",
    TOO_LONG: "Too long",
    TOO_MANY: "Too many",
    TYPE_INVALID: "Invalid value",
    INTERNAL: "Internal error",
}
_ESCAPES: Final = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
    "\t": "\\t", "\v": "\\v",
}  # fmt: skip
_VALUELESS: Final = frozenset((REQUIRED, FORBIDDEN, TOO_LONG, INTERNAL))


class Struct(dict[str, Any]):
    """A value that upstream prints as a Go struct: in the order of its fields, not sorted as a map."""


OMITTED: Final = object()
"""Stands for a value that is not printed."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule; `path` is dotted with list indexes and map keys in brackets."""

    type: str
    path: str
    value: Any
    detail: str = ""

    def body(self) -> str:
        """Return the message without the path."""
        text = _TITLES[self.type]
        if self.type not in _VALUELESS and self.value is not OMITTED:
            text += f": {quote(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.path}: {self.body()}"


def quote(value: Any) -> str:
    """Print a value as Go's %q (strings), %v (numbers, booleans) or JSON (the rest) would."""
    if isinstance(value, str):
        return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else _escape(c)) for c in value) + '"'
    is_ordered = isinstance(value[0] if type(value) is list and value else value, Struct)
    text = orjson.dumps(value, option=0 if is_ordered else orjson.OPT_SORT_KEYS).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """A malformed or out-of-range value."""
    return FieldError(INVALID, path, value, detail)


def type_invalid(path: str, value: Any, detail: str) -> FieldError:
    """A value of the wrong type."""
    return FieldError(TYPE_INVALID, path, value, detail)


def required(path: str, detail: str = "") -> FieldError:
    """A missing or empty value."""
    return FieldError(REQUIRED, path, "", detail)


def duplicate(path: str, value: Any) -> FieldError:
    """A value that must be unique and is not."""
    return FieldError(DUPLICATE, path, value)


def not_found(path: str, value: Any) -> FieldError:
    """A reference to something that is not there."""
    return FieldError(NOT_FOUND, path, value)


def not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    """A value outside an enumeration."""
    listed = ", ".join(quote(v) for v in supported)
    return FieldError(NOT_SUPPORTED, path, value, f"supported values: {listed}" if listed else "")


def forbidden(path: str, detail: str) -> FieldError:
    """A well-formed value that may not stand here."""
    return FieldError(FORBIDDEN, path, "", detail)


def too_long(path: str, max_bytes: int) -> FieldError:
    """A value longer than `max_bytes`."""
    unit = "byte" if max_bytes == 1 else "bytes"
    return FieldError(TOO_LONG, path, "", f"may not be more than {max_bytes} {unit}")


def too_many(path: str, actual: int, maximum: int) -> FieldError:
    """A list with more than `maximum` items."""
    unit = "item" if maximum == 1 else "items"
    return FieldError(TOO_MANY, path, actual, f"must have at most {maximum} {unit}")
