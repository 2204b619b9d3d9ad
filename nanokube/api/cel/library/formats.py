"""Named formats of strings in expressions. Pure.

Source: k8s.io/apiserver/pkg/cel/library/format.go; go-openapi/strfmt for uuid, byte, dates.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Callable

from nanokube.api.cel.library import urls
from nanokube.api.cel.library.opaque import NamedFormat, NoSuchOverload

_UUID = re.compile("[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_DATETIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[ Tt](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII
)


def named(name: str) -> NamedFormat | None:
    """`format.named("uri")`: the format, if there is one of the name."""
    if not isinstance(name, str):
        raise NoSuchOverload
    return NamedFormat(name) if name in CHECKS else None


def validate(given: NamedFormat, text: str) -> list[str] | None:
    """`format.uri().validate(text)`: what is wrong; None if nothing is."""
    if not isinstance(given, NamedFormat) or not isinstance(text, str):
        raise NoSuchOverload
    return CHECKS[given.text](text) or None


def _name(rule: str, *, prefix: bool = False) -> Callable[[str], list[str]]:
    def check(text: str) -> list[str]:
        # the package of built-in kinds' rules imports ours, so this one waits
        from nanokube.api.validation import names

        # a prefix may end in a dash, as what follows it is not there yet
        masked = text[:-1] + "a" if prefix and len(text) > 1 and text.endswith("-") else text
        found: list[str] = getattr(names, rule)(masked)
        return list(found)

    return check


def _uri(text: str) -> list[str]:
    error = urls.request_uri_error(text)
    return [] if error is None else [error]


def _uuid(text: str) -> list[str]:
    return [] if _UUID.fullmatch(text) else ["does not match the UUID format"]


def _byte(text: str) -> list[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ["invalid base64"]
    return []


def _date(text: str) -> list[str]:
    return [] if _is_date(text) else ["invalid date"]


def _datetime(text: str) -> list[str]:
    found = _DATETIME.fullmatch(text)
    valid = (
        found is not None
        and _is_date(found[1])
        and int(found[2]) < 24
        and int(found[3]) < 60
        and int(found[4]) < 60
    )
    return [] if valid else ["invalid datetime"]


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


CHECKS: dict[str, Callable[[str], list[str]]] = {
    "dns1123Label": _name("dns_label"),
    "dns1123Subdomain": _name("dns_subdomain"),
    "dns1035Label": _name("dns1035_label"),
    "qualifiedName": _name("qualified_name"),
    "dns1123LabelPrefix": _name("dns_label", prefix=True),
    "dns1123SubdomainPrefix": _name("dns_subdomain", prefix=True),
    "dns1035LabelPrefix": _name("dns1035_label", prefix=True),
    "labelValue": _name("label_value"),
    "uri": _uri,
    "uuid": _uuid,
    "byte": _byte,
    "date": _date,
    "datetime": _datetime,
}
