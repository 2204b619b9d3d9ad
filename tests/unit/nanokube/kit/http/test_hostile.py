"""Peers that mean harm: smuggled requests, endless parts, those who never read or never finish."""

from __future__ import annotations

import asyncio
import time

import pytest

from nanokube.kit.http.message import Request, Response
from nanokube.kit.http.server import Limits, Server
from tests.unit.nanokube.kit.http.test_server import Streams, answer_of, echo, serving

GONE = (ConnectionError, asyncio.IncompleteReadError)
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length : 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: a\r\n Transfer-Encoding: chunked\r\nContent Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nX\x01: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        CHUNKED + b"-1\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\n",
        CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_two_readers_could_read_differently_is_refused(sent: bytes) -> None:
    def handler(request: Request) -> Response:
        raise AssertionError(f"reached the handler: {request.method} {request.target}")

    async with serving(handler) as (reader, writer):
        writer.write(sent + b"GET /smuggled HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(30):
            text = await reader.read()
        assert text.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert text.count(b"HTTP/1.1") == 1


async def test_a_field_behind_the_body_is_no_header() -> None:
    def handler(request: Request) -> Response:
        return Response(200, repr(list(request.headers)).encode())

    async with serving(handler) as (reader, writer):
        writer.write(CHUNKED + b"1\r\nx\r\n0\r\nImpersonate-User: admin\r\nAuthorization: x\r\n\r\n")
        assert (await answer_of(reader))[1] == b"[('transfer-encoding', 'chunked')]"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"A: b\r\n" * 100),
        (CHUNKED + b"1\r\nx\r\n0\r\nA: ", b"b" * 1000),
        (CHUNKED, b"1;" + b"e" * 1000 + b"\r\nx\r\n"),
        (CHUNKED + b"1;", b"e" * 1000),
        (b"GET /", b"a" * 1000),
        (b"GET / HTTP/1.1\r\n", b"A: b\r\n" * 100),
        (b"GET / HTTP/1.1\r\nA: ", b"b" * 1000),
    ],
)
async def test_no_part_of_a_request_is_endless(head: bytes, piece: bytes) -> None:
    async with serving(echo, Limits(head_bytes=4096)) as (reader, writer):
        writer.write(head)
        for _ in range(100):
            writer.write(piece)
            await asyncio.sleep(0)
            if reader.at_eof():
                break
        async with asyncio.timeout(30):
            assert (await reader.readline()).split()[1] in (b"400", b"431")


async def test_small_chunks_are_no_harm() -> None:
    async with serving(echo, Limits(head_bytes=1024)) as (reader, writer):
        writer.write(CHUNKED)
        for _ in range(100):
            writer.write(b"1\r\nx\r\n" * 100)
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        assert (await answer_of(reader))[1].endswith(b"x" * 10_000)


async def test_a_peer_that_never_reads_is_answered_no_further() -> None:
    calls = 0

    def handler(request: Request) -> Response:
        nonlocal calls
        calls += 1
        return Response(200, b"x" * 100_000)

    async with serving(handler) as (reader, writer):
        for _ in range(200):
            writer.write(b"GET / HTTP/1.1\r\n\r\n" * 10)
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert calls < 400, "two thousand answers of 100 kB would have been held in memory"
        for _ in range(2000):
            assert len((await answer_of(reader))[1]) == 100_000
        assert calls == 2000


async def test_a_refused_peer_reads_why_before_it_has_sent_all() -> None:
    async with serving(echo, Limits(body_bytes=1000)) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n")
        writer.write(b"x" * 8_000_000)
        head, body = await answer_of(reader)
        assert head.startswith(b"HTTP/1.1 413 ")
        assert b"Connection: close" in head
        assert body == b"413 Request Entity Too Large"


@pytest.mark.parametrize(("length", "code"), [(b"5", b"100"), (b"5000", b"413")])
async def test_who_asks_before_a_long_body_is_told_first(length: bytes, code: bytes) -> None:
    async with serving(echo, Limits(body_bytes=1000)) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %b\r\n\r\n" % length)
        assert (await reader.readline()).split()[1] == code


async def test_nothing_is_said_in_the_midst_of_another_answer() -> None:
    gate = asyncio.Event()

    async def handler(request: Request) -> Response:
        await gate.wait()
        return echo(request)

    async with serving(handler) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        writer.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        await asyncio.sleep(0.02)
        gate.set()
        assert (await reader.readline()).split()[1] == b"200"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HT",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab",
    ],
)
async def test_who_begins_a_request_must_finish_it(sent: bytes) -> None:
    async with Server(echo) as server:
        reader, writer = await asyncio.open_connection(*await server.listen("127.0.0.1", 0))
        writer.write(sent)
        await asyncio.sleep(0.02)
        (connection,) = server.connections
        connection.check_timeout(time.monotonic() + 31)
        await asyncio.sleep(0.02)
        assert not reader.at_eof()
        connection.check_timeout(time.monotonic() + 33)
        with pytest.raises(GONE):
            await reader.readexactly(1)
        writer.close()


async def test_who_takes_nothing_of_an_answer_is_dropped() -> None:
    async with Server(lambda request: Response(200, [b"x" * 4_000_000] * 8)) as server:
        _, writer = await asyncio.open_connection(*await server.listen("127.0.0.1", 0), limit=1024)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.05)
        (connection,) = server.connections
        connection.check_timeout(time.monotonic() + 61)
        await asyncio.sleep(0.02)
        assert not server.connections
        writer.close()


async def test_a_half_closed_peer_is_let_go() -> None:
    async with Server(echo) as server:
        reader, writer = await asyncio.open_connection(*await server.listen("127.0.0.1", 0))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        writer.write_eof()
        assert b" 200 " in (await answer_of(reader))[0]
        assert await reader.read() == b""
        assert not server.connections
        writer.close()


async def test_idle_peers_make_room_for_new_ones() -> None:
    async with Server(echo, limits=Limits(connections=3)) as server:
        address = await server.listen("127.0.0.1", 0)
        open_: list[Streams] = []
        for _ in range(6):
            open_.append(await asyncio.open_connection(*address))
            open_[-1][1].write(b"GET / HTTP/1.1\r\n\r\n")
            assert b" 200 " in (await answer_of(open_[-1][0]))[0]
        assert len(server.connections) == 3
        for _, writer in open_:
            writer.close()


async def test_busy_peers_keep_their_place() -> None:
    gate = asyncio.Event()

    async def handler(request: Request) -> Response:
        await gate.wait()
        return Response(200)

    async with Server(handler, limits=Limits(connections=1)) as server:
        address = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.02)
        refused, other = await asyncio.open_connection(*address)
        with pytest.raises(GONE):
            await refused.readexactly(1)
        gate.set()
        assert b" 200 " in (await answer_of(reader))[0]
        writer.close()
        other.close()
