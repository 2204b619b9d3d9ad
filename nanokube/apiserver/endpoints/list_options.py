"""The options of list and watch that go together or not. Pure.

Source: apimachinery pkg/apis/meta/internalversion/validation.
"""

from __future__ import annotations

from typing import Final

from nanokube.api import errors, field
from nanokube.api.field import FieldError
from nanokube.apiserver.registry import call as calls
from nanokube.apiserver.requestinfo import is_true
from nanokube.kit.http.message import Query

_MATCH: Final = "resourceVersionMatch"
_NUMBERS: Final = ("limit", "timeoutSeconds")


def check(query: Query) -> None:
    """Refuse options that are malformed or contradict each other. Raises ApiError (400, 422)."""
    if not query.raw:
        return
    for name in _NUMBERS:
        if name in query:
            number(query.get(name))
    is_watch = is_true(query.get("watch"))
    found = _initial_events(query, is_watch) if "sendInitialEvents" in query else _match(query, is_watch)
    if found:
        raise calls.options_invalid("ListOptions", found)


def number(text: str) -> int:
    """Read a 64-bit integer. Raises ApiError (400)."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit():
        raise errors.bad_request(f"strconv.ParseInt: parsing {field.quote(text)}: invalid syntax")
    if not -(1 << 63) <= int(text) < 1 << 63:
        raise errors.bad_request(f"strconv.ParseInt: parsing {field.quote(text)}: value out of range")
    return int(text)


def _initial_events(query: Query, is_watch: bool) -> list[FieldError]:
    if not is_watch:
        return [field.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")]
    match, found = query.get(_MATCH), list[FieldError]()
    if match != "NotOlderThan":
        detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        found.append(field.forbidden(_MATCH, detail))
    if query.get("continue"):
        found.append(field.forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided"))
    return found + _only_not_older(match)


def _only_not_older(match: str) -> list[FieldError]:
    if match in ("", "NotOlderThan"):
        return []
    return [field.not_supported(_MATCH, match, ("NotOlderThan",))]


def _match(query: Query, is_watch: bool) -> list[FieldError]:
    match, found = query.get(_MATCH), list[FieldError]()
    continues = field.forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided")
    if is_watch:
        if match:
            detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            found.append(field.forbidden(_MATCH, detail))
        found += [continues] if query.get("continue") else []
        return found + _only_not_older(match)
    if not match:
        return []
    version = query.get("resourceVersion")
    if not version:
        detail = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        found.append(field.forbidden(_MATCH, detail))
    found += [continues] if query.get("continue") else []
    if match not in ("Exact", "NotOlderThan"):
        found.append(field.not_supported(_MATCH, match, ("Exact", "NotOlderThan", "")))
    if match == "Exact" and version == "0":
        detail = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        found.append(field.forbidden(_MATCH, detail))
    return found
