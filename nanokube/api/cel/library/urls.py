"""URLs in expressions. Pure.

Source: k8s.io/apiserver/pkg/cel/library/urls.go; Go's net/url for what parses.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from urllib.parse import quote, unquote_to_bytes

from nanokube.api.cel.library.opaque import NoSuchOverload, Url

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):", re.ASCII)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PORT = re.compile(r"(:[0-9]*)?")
_PATH_SAFE = "$&+,/:;=@!'()*~"
_HOST_ILLEGAL = re.compile(r"[\s\"<>\\^`{|}]")


@dataclasses.dataclass(frozen=True, slots=True)
class _Parts:
    scheme: str
    host: str
    path: str
    query: str


def parse(text: str) -> Url:
    """`url("https://…")`. Raises ValueError."""
    try:
        _parse(text)
    except ValueError as err:
        raise ValueError(f"URL parse error during conversion from string: {err}") from err
    return Url(text)


def is_url(text: str) -> bool:
    """`isURL("https://…")`."""
    return request_uri_error(text) is None


def request_uri_error(text: str) -> str | None:
    """Say why the text is no absolute URI or path; None if it is."""
    try:
        _parse(text)
    except ValueError as err:
        return str(err)
    return None


def scheme(given: Url) -> str:
    """`url.getScheme()`."""
    return _parts(given).scheme


def host(given: Url) -> str:
    """`url.getHost()`, with the port."""
    return _parts(given).host


def hostname(given: Url) -> str:
    """`url.getHostname()`, without port and brackets."""
    name = host(given)
    if name.startswith("["):
        return name[1 : name.index("]")]
    return name.partition(":")[0]


def port(given: Url) -> str:
    """`url.getPort()`."""
    return host(given).rpartition("]")[2].rpartition(":")[2] if ":" in host(given).rpartition("]")[2] else ""


def escaped_path(given: Url) -> str:
    """`url.getEscapedPath()`."""
    path = _parts(given).path
    if re.fullmatch(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]%]*", path):
        return path  # a valid writing stays as it is
    return quote(unquote_to_bytes(path), safe=_PATH_SAFE)


def query(given: Url) -> dict[str, list[str]]:
    """`url.getQuery()`: values by key, in order."""
    found: dict[str, list[str]] = {}
    for pair in _parts(given).query.split("&"):
        if not pair or ";" in pair or _BAD_ESCAPE.search(pair):
            continue
        key, _, value = pair.partition("=")
        found.setdefault(_unescape(key), []).append(_unescape(value))
    return found


def _unescape(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode(errors="replace")


def _parts(given: Url) -> _Parts:
    if not isinstance(given, Url):
        raise NoSuchOverload
    return _parse(given.text)


@functools.lru_cache(maxsize=512)
def _parse(text: str) -> _Parts:
    if not isinstance(text, str):
        raise NoSuchOverload
    shown = f'parse "{text}"'
    if not text:
        raise ValueError(f"{shown}: empty url")
    if any(char < " " or char == "\x7f" for char in text):
        raise ValueError(f"{shown}: net/url: invalid control character in URL")
    rest, _, _fragment = text.partition("#")
    found = _SCHEME.match(rest)
    name = found[1].lower() if found else ""
    rest = rest[found.end() :] if found else rest
    if not found and rest.startswith(":"):
        raise ValueError(f"{shown}: missing protocol scheme")
    rest, _, query_text = rest.partition("?")
    if not rest.startswith("/"):
        if name:
            return _Parts(name, "", "", query_text)  # opaque, such as mailto:
        raise ValueError(f"{shown}: invalid URI for request")
    authority = ""
    if name and rest.startswith("//") and not rest.startswith("///"):
        authority, slash, tail = rest[2:].partition("/")
        rest = slash + tail
    elif name and rest.startswith("///"):
        rest = rest[2:]
    bad = _BAD_ESCAPE.search(rest)
    if bad:
        raise ValueError(f'{shown}: invalid URL escape "{rest[bad.start() : bad.start() + 3]}"')
    return _Parts(name, _host(authority, shown), rest, query_text)


def _host(authority: str, shown: str) -> str:
    name = authority.rpartition("@")[2]
    bad = _HOST_ILLEGAL.search(name)
    if bad:
        raise ValueError(f'{shown}: invalid character "{bad[0]}" in host name')
    after = name.rpartition("]")[2] if name.startswith("[") else name[len(name.partition(":")[0]) :]
    if name.startswith("[") and "]" not in name:
        raise ValueError(f"{shown}: missing ']' in host")
    if not _PORT.fullmatch(after):
        raise ValueError(f'{shown}: invalid port "{after}" after host')
    return name
