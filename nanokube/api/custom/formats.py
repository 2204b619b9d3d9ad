"""The formats of strings that schemas may name. Pure.

Source: kube-openapi/pkg/validation/strfmt, govalidator/patterns.go,
apiextensions-apiserver/pkg/apiserver/validation/formats.go.
"""

from __future__ import annotations

import email.utils
import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from nanokube.api import timestamps
from nanokube.api.custom import patterns
from nanokube.api.validation import formats, names

Check = Callable[[str], object]

_LETTER: Final = r"a-zA-Z0-9\p{S}\p{L}"
# one label, or several of which the last has letters only
_HOSTNAME: Final = (
    rf"^([{_LETTER}](-?[{_LETTER}]{{0,62}})?|"
    rf"([{_LETTER}]([-{_LETTER}]{{0,61}}[{_LETTER}])?\.)+[a-zA-Z\p{{L}}]{{2,63}})$"
)
_HEX: Final = "[0-9a-f]"
_CREDIT_CARD: Final = (
    r"(4[0-9]{12}([0-9]{3})?|5[1-5][0-9]{14}|6(011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|"
    r"3(0[0-5]|[68][0-9])[0-9]{11}|(2131|1800|35[0-9]{3})[0-9]{11})"
)
_BYTE: Final = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})"
_COLOUR: Final = r"(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])"
_RGB: Final = rf"rgb\(\s*{_COLOUR}\s*,\s*{_COLOUR}\s*,\s*{_COLOUR}\s*\)"
_GO_DURATION: Final = r"[-+]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+"
_WORD_DURATION: Final = re.compile(r"(\d+)\s*([A-Za-zµ]+)")
_UNITS: Final = (
    ("ns", "nano"), ("us", "µs", "micro"), ("ms", "milli"), ("s", "sec"), ("m", "min"),
    ("h", "hr", "hour"), ("d", "day"), ("w", "wk", "week"),
)  # fmt: skip


def _matches(pattern: str, flags: int = re.ASCII) -> Check:
    compiled = re.compile(pattern, flags)
    return compiled.fullmatch


def _uuid(version: str = _HEX, variant: str = _HEX) -> Check:
    parts = (
        f"{_HEX}{{8}}",
        f"{_HEX}{{4}}",
        f"{version}{_HEX}{{3}}",
        f"{variant}{_HEX}{{3}}",
        f"{_HEX}{{12}}",
    )
    return _matches("-?".join(parts), re.IGNORECASE | re.ASCII)


def _hostname(text: str) -> bool:
    is_formed = patterns.compile(_HOSTNAME)(text) and len(text.encode()) <= 255
    return is_formed and all(len(part.encode()) <= 63 for part in text.split("."))


def _email(text: str) -> bool:
    _, address = email.utils.parseaddr(text)
    local, at, domain = address.rpartition("@")
    return bool(local and at and domain) and " " not in address


def _uri(text: str) -> bool:
    """As url.ParseRequestURI: absolute, or a path from the root."""
    if not text or any(c < "!" or c == "\x7f" for c in text) or re.search(r"%(?![0-9a-fA-F]{2})", text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.scheme) if not text.startswith("/") else True


def _ipv4(text: str) -> bool:
    return "." in text and formats.is_ip(text)


def _ipv6(text: str) -> bool:
    try:
        return ":" in text and ipaddress.ip_address(text.partition("%")[0]).version == 6 and "%" not in text
    except ValueError:
        return False


def _date(text: str) -> bool:
    return len(text) == 10 and _parses(f"{text}T00:00:00Z")


def _date_time(text: str) -> bool:
    """As strfmt, which does not look at the range of the offset."""
    date, _, rest = text.lower().partition("t")
    found = re.fullmatch(r"(\d\d):(\d\d):(\d\d)(.[0-9]+)?(z|[+-]\d\d:\d\d)", rest, re.ASCII)
    return found is not None and _date(date) and found[1] <= "23" and found[2] <= "59" and found[3] <= "59"


def _parses(text: str) -> bool:
    try:
        timestamps.parse(text)
    except ValueError:
        return False
    return True


def _duration(text: str) -> bool:
    if text == "0" or re.fullmatch(_GO_DURATION, text):
        return True
    return any(_is_unit(found[2].lower()) for found in _WORD_DURATION.finditer(text))


def _is_unit(unit: str) -> bool:
    return any(unit in variants or unit.startswith(variants[-1]) for variants in _UNITS)


def _digits(text: str) -> str:
    return re.sub(r"[\s-]", "", text)


def _isbn10(text: str) -> bool:
    found = _digits(text)
    if not re.fullmatch(r"[0-9]{9}X|[0-9]{10}", found):
        return False
    return sum((i + 1) * (10 if c == "X" else int(c)) for i, c in enumerate(found)) % 11 == 0


def _isbn13(text: str) -> bool:
    found = _digits(text)
    if not re.fullmatch(r"[0-9]{13}", found):
        return False
    return (10 - sum((3 if i % 2 else 1) * int(c) for i, c in enumerate(found[:12])) % 10) % 10 == int(
        found[12]
    )


def _credit_card(text: str) -> bool:
    found = re.sub("[^0-9]+", "", text)
    if not re.fullmatch(_CREDIT_CARD, found):
        return False
    doubled = [int(c) * (2 if i % 2 else 1) for i, c in enumerate(reversed(found))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


# by the name without dashes
_STRINGS: Final[Mapping[str, Check]] = {
    "bsonobjectid": _matches("[0-9a-fA-F]{24}"),
    "uri": _uri,
    "email": _email,
    "hostname": _hostname,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "cidr": lambda text: formats.parse_cidr(text) is not None,
    "mac": _matches(
        r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){7}|"
        r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){19}|[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){2}|"
        r"[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){3}|[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){9}"
    ),
    "uuid": _uuid(),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4", "[89ab]"),
    "uuid5": _uuid("5", "[89ab]"),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _credit_card,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _matches(_RGB),
    "byte": _matches(_BYTE),
    "password": lambda text: True,
    "date": _date,
    "duration": _duration,
    "datetime": _date_time,
    "k8sshortname": lambda text: not names.dns_label(text),
    "k8slongname": lambda text: not names.dns_subdomain(text),
}
_NUMBERS: Final = {"integer": ("int32", "int64"), "number": ("float", "double")}


def of(schema: Mapping[str, Any]) -> str:
    """Return the format of a schema, "" if it has none that its type knows: others are ignored."""
    format_ = schema.get("format") or ""
    type_ = "" if schema.get("x-kubernetes-int-or-string") else schema.get("type") or ""
    if type_ in ("", "string"):
        return format_ if format_.replace("-", "") in _STRINGS else ""
    return format_ if format_ in _NUMBERS.get(type_, ()) else ""


def is_known(format_: str, type_: str) -> bool:
    """Tell whether a type has that format."""
    return bool(of({"format": format_, "type": type_}))


def check(format_: str) -> Check | None:
    """Return the check of strings for a format, None if there is none."""
    return _STRINGS.get(format_.replace("-", ""))
