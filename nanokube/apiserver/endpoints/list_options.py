"""The options of list and watch that go together or not. Pure.

Source: apimachinery pkg/apis/meta/internalversion/validation.
"""

from __future__ import annotations

from typing import Final

from nanokube.api import errors, field
from nanokube.api.field import FieldError
from nanokube.apiserver import requestinfo
from nanokube.apiserver.registry import call as calls
from nanokube.kit.http.message import Query

_MATCH: Final = "resourceVersionMatch"
_NOT_OLDER: Final = "NotOlderThan"
_NUMBERS: Final = ("limit", "timeoutSeconds")


def check(query: Query) -> None:
    """Refuse options that are malformed or contradict each other. Raises ApiError (400, 422)."""
    if not query.raw:
        return
    for name in _NUMBERS:
        if name in query:
            number(query.get(name))
    found = _of_watch(query) if requestinfo.is_asked(query, "watch") else _of_list(query)
    if found:
        raise calls.options_invalid("ListOptions", found)


def wants_initial(query: Query) -> bool | None:
    """Say whether a watch begins with what exists, and tells so with a bookmark. None: not settled by that.

    Whoever watches from no version is taken to have asked for it, unless by a path below /watch/ alone.
    """
    if "sendInitialEvents" in query:
        return requestinfo.is_asked(query, "sendInitialEvents")
    return True if _is_from_nothing(query) else None


def _is_from_nothing(query: Query) -> bool:
    return requestinfo.is_asked(query, "watch") and query.get("resourceVersion") in ("", "0")


def number(text: str) -> int:
    """Read a 64-bit integer. Raises ApiError (400)."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit():
        raise errors.bad_request(f"strconv.ParseInt: parsing {field.quote(text)}: invalid syntax")
    if not -(1 << 63) <= int(text) < 1 << 63:
        raise errors.bad_request(f"strconv.ParseInt: parsing {field.quote(text)}: value out of range")
    return int(text)


def _of_watch(query: Query) -> list[FieldError]:
    match, found = query.get(_MATCH), list[FieldError]()
    says_initial = "sendInitialEvents" in query
    if not match and not says_initial and _is_from_nothing(query):
        return _continued(query)  # as if it had said NotOlderThan
    if says_initial and match != _NOT_OLDER:
        detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        found.append(field.forbidden(_MATCH, detail))
    if not match:
        return found
    if not says_initial:
        detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        found.append(field.forbidden(_MATCH, detail))
    if match != _NOT_OLDER:
        found.append(field.not_supported(_MATCH, match, (_NOT_OLDER,)))
    return found + _continued(query)


def _of_list(query: Query) -> list[FieldError]:
    found = _match(query) if query.get(_MATCH) else []
    if "sendInitialEvents" in query:
        found.append(field.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return found


def _match(query: Query) -> list[FieldError]:
    match, version, found = query.get(_MATCH), query.get("resourceVersion"), list[FieldError]()
    if not version:
        detail = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        found.append(field.forbidden(_MATCH, detail))
    found += _continued(query)
    if match not in ("Exact", _NOT_OLDER):
        found.append(field.not_supported(_MATCH, match, ("Exact", _NOT_OLDER, "")))
    if match == "Exact" and version == "0":
        detail = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        found.append(field.forbidden(_MATCH, detail))
    return found


def _continued(query: Query) -> list[FieldError]:
    if not query.get("continue"):
        return []
    return [field.forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided")]
