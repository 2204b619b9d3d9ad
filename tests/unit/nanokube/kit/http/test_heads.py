"""Requests whose fields were read before are understood as by the parser."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from nanokube.kit.http.connection import Connection
from nanokube.kit.http.message import Headers, Request, Response
from nanokube.kit.http.server import Server

FIELDS = b"\r\nHost: a\r\nAuthorization: Bearer b\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n"
Seen = tuple[str, str, list[tuple[str, str]], bytes]


class Wire(asyncio.Transport):
    """What would be sent; a peer that reads nothing never makes it pause."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def write(self, data: Any) -> None:
        self.sent += data

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Client:
    """A connection of a server; `seen` is what its handler was given."""

    def __init__(self, server: Server | None = None) -> None:
        self.seen: list[Seen] = []
        self.server = server or Server(self._handle)
        self.wire = Wire()
        self.connection = Connection(self.server)
        self.connection.connection_made(self.wire)

    def _handle(self, request: Request) -> Response:
        self.seen.append((request.method, request.target, list(request.headers), request.body))
        request.headers.add("x-added", "by a handler")
        return Response(200, b"{}")

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.data_received(piece)

    @property
    def known(self) -> Mapping[bytes, Headers]:
        return self.server.heads._known


async def test_fields_that_came_before_are_not_parsed_again_and_read_the_same() -> None:
    client = Client()
    client.send(b"GET /a HTTP/1.1" + FIELDS)
    assert list(client.known) == [FIELDS]
    client.connection._parser = None  # type: ignore[assignment]
    client.send(b"GET /b?c=%20 HTTP/1.1" + FIELDS)
    fields = [("host", "a"), ("authorization", "Bearer b"), ("x-twice", "1"), ("x-twice", "2")]
    assert client.seen == [("GET", "/a", fields, b""), ("GET", "/b?c=%20", fields, b"")]
    assert client.wire.sent.count(b"HTTP/1.1 200 OK") == 2


async def test_every_target_is_read_as_the_parser_reads_it() -> None:
    for byte in range(256):
        line = b"GET /a%cb HTTP/1.1" % byte
        fresh, again = Client(), Client()
        again.send(b"GET / HTTP/1.1" + FIELDS)
        fresh.send(line + FIELDS)
        again.send(line + FIELDS)
        assert again.seen[1:] == fresh.seen, line
        assert again.connection._bad == fresh.connection._bad, line


@pytest.mark.parametrize(
    "line",
    [
        b"GET /a HTTP/1.0",
        b"GET  /a HTTP/1.1",
        b"GET /a  HTTP/1.1",
        b"GET /a HTTP/1.1 ",
        b"GET /a",
        b"get /a HTTP/1.1",
        b"GET a HTTP/1.1",
        b"GET http://x/a HTTP/1.1",
        b"HEAD /a HTTP/1.1",
        b"POST /a HTTP/1.1",
        b"\r\nGET /a HTTP/1.1",
        b"GET /a HTTP/1.1\nX: y",
        b"GET /a HTTP/1.1\r\nX: y",
        b"",
    ],
)
async def test_every_other_line_is_read_by_the_parser(line: bytes) -> None:
    fresh, again = Client(), Client()
    again.send(b"GET / HTTP/1.1" + FIELDS)
    fresh.send(line + FIELDS)
    again.send(line + FIELDS)
    assert again.seen[1:] == fresh.seen
    assert again.connection._bad == fresh.connection._bad


@pytest.mark.parametrize(
    "pieces",
    [
        (b"GET /a HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",),
        (b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n",),
        (b"GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",),
        (b"GET /a HTTP/1.1\r\nContent-Length: 1\r\n\r\n", b"x"),
        (b"GET /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",),
        (b"POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n",),
        (b"GET /a HTTP/1.1\r\n", b"Host: x\r\n\r\n"),
        (b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n",),
        (b"GET /a HTTP/1.1\r\nX: " + b"y" * 5000 + b"\r\n\r\n",),
    ],
)
async def test_what_is_more_than_fields_is_not_remembered(pieces: tuple[bytes, ...]) -> None:
    client = Client()
    client.send(*pieces)
    assert client.seen
    assert not client.known


async def test_between_the_pieces_of_a_request_nothing_is_taken_for_another() -> None:
    client = Client()
    client.send(b"GET / HTTP/1.1" + FIELDS)
    inner = b"GET /inner HTTP/1.1" + FIELDS
    client.send(b"POST /outer HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(inner), inner)
    assert [(method, target, body) for method, target, _, body in client.seen[1:]] == [
        ("POST", "/outer", inner)
    ]


async def test_the_memory_is_bounded() -> None:
    client = Client()
    for number in range(1000):
        client.send(b"GET / HTTP/1.1\r\nX: %d\r\n\r\n" % number)
    assert len(client.known) <= 256


def test_what_was_derived_from_fields_does_not_outlive_a_change() -> None:
    first = Headers([("A", "1")])
    first.memo["user"] = "x"
    second = first.copy()
    assert second.memo is first.memo
    second.add("a", "2")
    second.memo["user"] = "y"
    assert (first.memo["user"], list(first), second.getall("A")) == ("x", [("a", "1")], ["1", "2"])
    first.replace("a", "3")
    assert (first.get("a"), first.memo, second.get("A")) == ("3", {}, "1")
