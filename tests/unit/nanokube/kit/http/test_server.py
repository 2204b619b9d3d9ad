"""The HTTP server over a loopback socket: keep-alive, pipelining, limits, streams, upgrades."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from nanokube.kit.http.message import Answer, Request, Response, StreamResponse, UpgradeResponse
from nanokube.kit.http.server import Limits, Server
from nanokube.kit.http.stream import Stream, Tunnel

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(
    handler: Callable[[Request], Answer | Awaitable[Answer]],
    limits: Limits | None = None,
    streams_body: Callable[[str], bool] | None = None,
) -> AsyncIterator[Streams]:
    async with Server(handler, limits=limits, streams_body=streams_body) as server:
        host, port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(host, port)
        try:
            yield reader, writer
        finally:
            writer.close()
            await asyncio.sleep(0)


async def answer_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return head, await reader.readexactly(int(line.split(b":")[1]))
    return head, b""


def echo(request: Request) -> Response:
    text = f"{request.method} {request.path} {request.query.getall('a')} {request.body.decode()}"
    return Response(200, text.encode(), "text/plain")


async def echo_later(request: Request) -> Response:
    await asyncio.sleep(0)
    return echo(request)


@pytest.mark.parametrize("handler", [echo, echo_later])
async def test_pipelined_requests_are_answered_in_order(
    handler: Callable[[Request], Answer | Awaitable[Answer]],
) -> None:
    async with serving(handler) as (reader, writer):
        for i in range(40):
            writer.write(b"POST /x%%20%d?a=1&a=&b=2 HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi" % i)
        for i in range(40):
            head, body = await answer_of(reader)
            assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: ")
            assert body == b"POST /x %d ['1', ''] hi" % i


async def test_a_target_in_pieces_is_put_together() -> None:
    async with serving(echo) as (reader, writer):
        for piece in (b"GET /ab", b"c?a=", b"7 HTTP/1.1\r\nHo", b"st: x\r\n\r\n"):
            writer.write(piece)
            await asyncio.sleep(0.01)
        assert (await answer_of(reader))[1] == b"GET /abc ['7'] "


async def test_a_head_may_be_a_mebibyte_as_in_go() -> None:
    """Label selectors that name tens of thousands of values are told in the URL."""
    async with serving(echo) as (reader, writer):
        values = b"%2C".join(b"value-%d" % i for i in range(70_000))
        writer.write(b"GET /x?a=1&b=" + values + b" HTTP/1.1\r\nY: " + b"y" * 100_000 + b"\r\n\r\n")
        assert (await answer_of(reader))[1] == b"GET /x ['1'] "


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", b"413"),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n",
            b"413",
        ),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 5000 + b"\r\n", b"431"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
    ],
)
async def test_bad_requests_are_refused_and_the_connection_closed(sent: bytes, status: bytes) -> None:
    async with serving(echo, Limits(body_bytes=100, head_bytes=4096)) as (reader, writer):
        writer.write(sent)
        assert (await reader.readline()).split()[1] == status
        await reader.read()
        assert reader.at_eof()


async def test_a_failing_handler_is_answered_500(caplog: pytest.LogCaptureFixture) -> None:
    def fail(request: Request) -> Response:
        raise KeyError("secret")

    async with serving(fail) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        head, body = await answer_of(reader)
        assert b" 500 " in head
        assert b"secret" not in body


async def test_streams_are_chunked_and_the_connection_stays() -> None:
    async def run(stream: Stream) -> None:
        stream.write(b"one")
        await asyncio.sleep(0)
        stream.write(b"two")

    def handler(request: Request) -> Answer:
        return StreamResponse(run) if request.path == "/stream" else echo(request)

    async with serving(handler) as (reader, writer):
        writer.write(b"GET /stream HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n")
        head, _ = await answer_of(reader)
        assert b"Transfer-Encoding: chunked" in head
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        assert (await answer_of(reader))[1] == b"GET /x [] "


async def test_a_slow_reader_is_cut_off() -> None:
    ended = asyncio.Event()

    async def run(stream: Stream) -> None:
        try:
            while True:
                stream.write(b"x" * 65536)
                await asyncio.sleep(0)
        finally:
            ended.set()

    async with serving(lambda request: StreamResponse(run), Limits(buffered_bytes=1 << 20)) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(5):
            await ended.wait()


async def test_the_stream_is_cancelled_when_the_peer_leaves() -> None:
    ended = asyncio.Event()

    async def run(stream: Stream) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serving(lambda request: StreamResponse(run)) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        async with asyncio.timeout(5):
            await ended.wait()


async def test_a_long_body_arrives_whole() -> None:
    body = [bytes([i]) * 700_000 for i in range(5)]
    async with serving(lambda request: Response(200, body)) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await answer_of(reader))[1] == b"".join(body)


@pytest.mark.parametrize("pulling", [True, False])
async def test_an_upgrade_hands_over_the_transport_with_early_bytes(pulling: bool) -> None:
    async def run(tunnel: Tunnel) -> None:
        if pulling:
            while data := await tunnel.read():
                tunnel.write(data.upper())
        else:
            done = asyncio.Event()
            tunnel.receive(lambda data: tunnel.write(data.upper()), done.set)
            await done.wait()

    def handler(request: Request) -> Answer:
        assert request.upgrade == "spdy/3.1"
        return UpgradeResponse("SPDY/3.1", run, [("X-Stream-Protocol-Version", "v4.channel.k8s.io")])

    async with serving(handler) as (reader, writer):
        writer.write(b"POST /exec HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nearly")
        head, _ = await answer_of(reader)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n" in head
        assert await reader.readexactly(5) == b"EARLY"
        writer.write(b"more")
        assert await reader.readexactly(4) == b"MORE"
        writer.write_eof()
        assert await reader.read() == b""


async def test_a_refused_upgrade_closes_the_connection() -> None:
    async with serving(lambda request: Response(403, b"no")) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nsmuggled")
        assert b" 403 " in (await answer_of(reader))[0]
        assert await reader.read() == b""


async def test_a_streamed_body_is_pulled() -> None:
    async def handler(request: Request) -> Response:
        assert request.stream is not None
        size = 0
        while data := await request.stream.read():
            size += len(data)
        return Response(200, str(size).encode())

    async with serving(handler, Limits(body_bytes=10), lambda request: True) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n" + b"z" * 2_000_000)
        assert (await answer_of(reader))[1] == b"2000000"


async def test_head_has_no_body_and_values_cannot_split_the_head() -> None:
    def handler(request: Request) -> Response:
        return Response(200, b"abc", headers=[("Warning", "299 - a\r\nSet-Cookie: x")])

    async with serving(handler) as (reader, writer):
        writer.write(b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n")
        text = await reader.read()
        assert text.endswith(b"Content-Length: 3\r\n\r\n")
        assert b"\r\nSet-Cookie" not in text


async def test_closing_waits_for_the_request_under_way() -> None:
    gate = asyncio.Event()

    async def handler(request: Request) -> Response:
        await gate.wait()
        return Response(200, b"late")

    async with asyncio.timeout(5), asyncio.TaskGroup() as group, Server(handler) as server:
        reader, writer = await asyncio.open_connection(*await server.listen("127.0.0.1", 0))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.02)
        closing = group.create_task(server.close(grace_s=2.0))
        await asyncio.sleep(0.02)
        gate.set()
        assert (await answer_of(reader))[1] == b"late"
        await closing
        writer.close()
