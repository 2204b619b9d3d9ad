"""Servers of webhooks that speak HTTP badly, on purpose or not: each call ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nanokube.apiserver.outgoing.client import CallFailed, Client
from nanokube.kit import pki
from tests.unit.nanokube.apiserver.hookserver import HookServer, authority

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FINE = OK + b"Content-Length: 2\r\n\r\n{}"
BOMB = gzip.compress(bytes(64 << 20))


class RawServer:
    """Answers with start once, then with more for ever, every so many seconds."""

    def __init__(self, start: bytes, more: bytes = b"", every_s: float = 0.0) -> None:
        self._start = start
        self._more = more
        self._every_s = every_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self._start)
            while self._more:
                writer.write(self._more)
                await writer.drain()
                await asyncio.sleep(self._every_s)
            await writer.drain()
        writer.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    subject = pki.Subject("hook", names=("127.0.0.1",))
    pair = authority().issue(subject, datetime.datetime.now(datetime.UTC))
    place: Path = tmp_path_factory.mktemp("hook") / "pair"
    place.write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place)
    return context


@contextlib.asynccontextmanager
async def calling(raw: RawServer, context: ssl.SSLContext) -> AsyncIterator[tuple[Client, str]]:
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0, ssl=context)
    client = Client(lambda *_: [])
    try:
        yield client, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        await client.close()
        server.close()


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(FINE, id="plain"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n{}", id="HTTP/1.0, until the connection ends"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + FINE, id="early hints"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + FINE, id="continue"),
        pytest.param(OK + b"Set-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}", id="a cookie"),
    ],
)
async def test_what_is_unusual_but_right_is_understood(tls: ssl.SSLContext, start: bytes) -> None:
    async with calling(RawServer(start), tls) as (client, url):
        assert await client.post({"url": url, "caBundle": HookServer(dict).bundle}, b"{}", 5) == b"{}"


FAULTS = {
    "nothing": (RawServer(b""), "EOF"),
    "garbage": (RawServer(b"\x00\xff\r\n" * 100), "malformed HTTP response"),
    "hints for ever": (RawServer(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9, 0.01), "deadline exceeded"),
    "another protocol": (
        RawServer(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"x" * 999
        ),
        "status code 101",
    ),
    "many fields": (RawServer(OK, b"X-A: b\r\n" * 100), "malformed HTTP response"),
    "a field without end": (RawServer(OK + b"X-A: ", b"a" * 65536), "malformed HTTP response"),
    "a slow head": (RawServer(OK, b"X", 0.01), "deadline exceeded"),
    "a slow body": (RawServer(OK + b"Content-Length: 999\r\n\r\n", b"x", 0.01), "deadline exceeded"),
    "a slow chunk": (RawServer(CHUNKED, b"0", 0.01), "deadline exceeded"),
    "a body without end": (RawServer(CHUNKED, b"10000\r\n%b\r\n" % bytes(65536)), "longer than"),
    "trailers without end": (RawServer(CHUNKED + b"0\r\n", b"X-A: b\r\n" * 100), "malformed HTTP response"),
    "a body cut short": (RawServer(OK + b"Content-Length: 10\r\n\r\n{}"), "payload is not completed"),
    "two lengths": (RawServer(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"), "malformed"),
    "a negative length": (RawServer(OK + b"Content-Length: -5\r\n\r\n{}"), "malformed HTTP response"),
    "a bomb": (
        RawServer(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(BOMB), BOMB)),
        "longer than",
    ),
    "a redirect": (
        RawServer(b"HTTP/1.1 307 T\r\nLocation: /hook\r\nContent-Length: 0\r\n\r\n"),
        "redirects are not followed",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_wrong_ends_with_its_cause(tls: ssl.SSLContext, fault: str) -> None:
    raw, words = FAULTS[fault]
    # A deadline that is not what is asked for is beyond what a loaded machine takes to connect.
    timeout_s = 0.3 if words == "deadline exceeded" else 30
    async with calling(raw, tls) as (client, url):
        with pytest.raises(CallFailed, match=words) as failed:
            async with asyncio.timeout(timeout_s + 30):
                await client.post({"url": url, "caBundle": HookServer(dict).bundle}, b"{}", timeout_s)
    said = str(failed.value)
    assert len(said) < 400
    assert "\n" not in said
