"""HTTP/1.1 messages as values: what a handler reads and what it answers. Pure.

A handler is `Callable[[Request], Answer | Awaitable[Answer]]`: a plain function answers at once, without a
task of its own; an `async def` runs as one task of the server. Three answers exist: Response (all of the body
is known), StreamResponse (chunked, written over time) and UpgradeResponse (101, then the raw transport).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from nanokube.kit.http.stream import BodyStream, Stream, Tunnel

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
REASONS: Mapping[int, str] = {
    100: "Continue", 101: "Switching Protocols", 200: "OK", 201: "Created", 202: "Accepted",
    204: "No Content", 301: "Moved Permanently", 302: "Found", 304: "Not Modified", 307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    408: "Request Timeout", 409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed",
    413: "Request Entity Too Large", 415: "Unsupported Media Type", 417: "Expectation Failed",
    422: "Unprocessable Entity", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout", 505: "HTTP Version Not Supported",
}  # fmt: skip


class Headers:
    """Header fields in order of arrival; names compare without case and are kept in lower case.

    memo: free for the application to remember what it derived from these fields (of whom the token is, say).
    Copies share it, as long as none of them changes.
    """

    __slots__ = ("_fields", "_first", "_is_shared", "memo")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[tuple[str, str]] = []
        self._first: dict[str, str] = {}
        self._is_shared = False
        self.memo: dict[str, Any] = {}
        for name, value in fields:
            self.add(name, value)

    def copy(self) -> Headers:
        """Give the same fields to somebody else, who may change them."""
        found = Headers.__new__(Headers)
        found._fields, found._first, found.memo = self._fields, self._first, self.memo
        found._is_shared = self._is_shared = True
        return found

    def _change(self) -> None:
        """Part from copies, and from what was derived."""
        if self._is_shared:
            self._fields, self._first, self._is_shared = list(self._fields), dict(self._first), False
        self.memo = {}

    def add(self, name: str, value: str) -> None:
        """Append one field."""
        if self._is_shared or self.memo:
            self._change()
        name = name.lower()
        self._fields.append((name, value))
        if name not in self._first:
            self._first[name] = value

    def get(self, name: str, default: str = "") -> str:
        """Read the first field called name."""
        found = self._first.get(name)
        return self._first.get(name.lower(), default) if found is None else found

    def getall(self, name: str) -> list[str]:
        """Read every field called name, in order."""
        name = name.lower()
        return [value for key, value in self._fields if key == name]

    def replace(self, name: str, value: str) -> None:
        """Put one field in the place of every field called name."""
        self._change()
        name = name.lower()
        self._fields = [*(each for each in self._fields if each[0] != name), (name, value)]
        self._first[name] = value

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._first

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Query:
    """Query parameters: a multi-dict that keeps blank values."""

    __slots__ = ("_pairs", "raw")

    def __init__(self, raw: str = "") -> None:
        self.raw = raw
        self._pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=1000) if raw else []

    def get(self, name: str, default: str = "") -> str:
        """Read the first value of name."""
        for key, value in self._pairs:
            if key == name:
                return value
        return default

    def getall(self, name: str) -> list[str]:
        """Read every value of name, in order."""
        return [value for key, value in self._pairs if key == name]

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self._pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)


NO_QUERY = Query()


@dataclass(frozen=True, slots=True)
class Certificate:
    """The subject of a client certificate that the TLS layer verified. encoded: all of it, DER."""

    common_name: str
    organizations: tuple[str, ...]
    not_after: float  # seconds since the epoch
    encoded: bytes = b""


@dataclass(slots=True)
class Peer:
    """The other end of one connection; one object a connection.

    memo: free for the application to remember what it derived from the peer (its user, say).
    """

    host: str
    port: int
    certificate: Certificate | None = None
    memo: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Request:
    """One request, complete with its body unless `stream` is set.

    target: as on the wire; path is its percent-decoded path.
    stream: set instead of body when the server was told to stream this request's body.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    peer: Peer
    stream: BodyStream | None = None
    raw_path: str = ""
    path: str = ""
    query: Query = NO_QUERY
    upgrade: str = ""  # the Upgrade header in lower case, if the client asks to leave HTTP
    http_version: str = "1.1"
    on_disconnect: Callable[[Callable[[], None]], None] = lambda callback: None
    """Register a callback for the loss of the connection before the answer is complete."""

    def __post_init__(self) -> None:
        target = self.target
        if not target.startswith("/") and "://" in target:  # absolute form, RFC 9112 3.2.2
            target = "/" + target.split("://", 1)[1].partition("/")[2]
        self.raw_path, _, query = target.partition("?")
        self.path = unquote(self.raw_path) if "%" in self.raw_path else self.raw_path
        if query:
            self.query = Query(query)


Fields = Sequence[tuple[str, str]]


class LongBody:
    """A body of size bytes that is made piece by piece, as it is sent: it need not exist as a whole.

    pieces: begins anew at each call.
    """

    __slots__ = ("_pieces", "size")

    def __init__(self, size: int, pieces: Callable[[], Iterator[bytes]]) -> None:
        self.size = size
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces()


Parts = Sequence[bytes] | LongBody


def size_of(parts: Parts) -> int:
    """Add up the bytes of a body."""
    return parts.size if isinstance(parts, LongBody) else sum(map(len, parts))


@dataclass(slots=True, eq=False)
class Response:
    """A complete answer. body may be parts to be sent one after the other; Content-Length is added.

    head: further header fields, encoded, each with its line end; for those that many answers share.
    """

    status: int = 200
    body: bytes | Parts = b""
    content_type: str = ""
    headers: Fields = ()
    head: bytes = b""

    @property
    def parts(self) -> Parts:
        """The body as parts."""
        return (self.body,) if isinstance(self.body, bytes) else self.body


@dataclass(slots=True, eq=False)
class StreamResponse:
    """An answer written over time, chunked.

    run: called once the head is sent; its return ends the body. It is cancelled when the peer goes away.
    head: as of Response.
    """

    run: Callable[[Stream], Awaitable[None]]
    status: int = 200
    content_type: str = ""
    headers: Fields = ()
    head: bytes = b""


@dataclass(slots=True, eq=False)
class UpgradeResponse:
    """101 with `Upgrade: protocol`, then run(tunnel) owns the raw transport; its return closes it.

    headers: further fields, such as Sec-WebSocket-Accept or X-Stream-Protocol-Version.
    """

    protocol: str
    run: Callable[[Tunnel], Awaitable[None]]
    headers: Fields = ()


Answer = Response | StreamResponse | UpgradeResponse
Handler = Callable[[Request], Answer | Awaitable[Answer]]


@functools.lru_cache(maxsize=512)
def head_prefix(status: int, content_type: str) -> bytes:
    """Encode the status line and Content-Type, the part of a head that repeats."""
    line = f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}\r\n"
    return (line + (f"Content-Type: {content_type}\r\n" if content_type else "")).encode("latin-1")


def encode_fields(fields: Fields) -> bytes:
    """Encode header fields; a tuple, which many answers share, once.

    A value's characters are bytes (ISO 8859-1), as of those that are read. Control characters cannot leave
    it: they would split the response.
    """
    return _encode_shared(fields) if type(fields) is tuple else _encode(fields)


@functools.lru_cache(maxsize=512)
def _encode_shared(fields: tuple[tuple[str, str], ...]) -> bytes:
    return _encode(fields)


def _encode(fields: Fields) -> bytes:
    return "".join(f"{name}: {_clean(value)}\r\n" for name, value in fields).encode("latin-1", "replace")


def _clean(value: str) -> str:
    return value if value.isascii() and value.isprintable() else _CONTROLS.sub(" ", value)
