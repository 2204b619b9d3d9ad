"""One HTTP/1.1 connection: an asyncio.Protocol over httptools.

Requests of a connection are answered one at a time, in order; those pipelined behind wait parsed, and above
Limits.pipelined the transport is paused. States of the connection:

    HEAD ──headers──> BODY ──end──> HEAD …      while self._tunnel is None
      └──upgrade──> (parser done, bytes kept) ──101──> TUNNEL
                                              └──any other answer──> closed
"""

from __future__ import annotations

import asyncio
import calendar
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import httptools

from nanokube.kit.http.awake import NEAR_S
from nanokube.kit.http.message import (
    Answer,
    Certificate,
    Headers,
    LongBody,
    Parts,
    Peer,
    Request,
    Response,
    StreamResponse,
    UpgradeResponse,
    encode_fields,
    head_prefix,
    size_of,
)
from nanokube.kit.http.stream import BodyStream, Flow, Stream, Tunnel

if TYPE_CHECKING:
    from nanokube.kit.http.server import Server

log = logging.getLogger(__name__)

LINGER_S = 1.0  # how long a refused peer may take to read why
SLICE_BYTES = 1 << 18  # a longer body is written in slices, each after the peer took the last
_date: tuple[int, bytes] = (0, b"")


def date_line() -> bytes:
    """The Date field of this second, encoded."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, b"Date: %b\r\n" % formatdate(now, usegmt=True).encode())
    return _date[1]


class Connection(asyncio.Protocol):
    """Parses requests, runs the server's handler, writes answers."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._flow: Flow
        self._peer = Peer("", 0)
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._streaming = False
        self._tunnel: Tunnel | None = None
        self._after_upgrade = b""
        self._paused = False
        self._closing = False
        self._bad = False
        self._disconnects: list[Callable[[], None]] = []
        self._since = time.monotonic()
        self._in_head = False
        self._in_message = False
        self._overhead_bytes = 0
        self._url = b""
        self._headers = Headers()
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._receiving: BodyStream | None = None
        self._arrived = b""  # what is being parsed, if a request begins with it

    # --- transport side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember who is on the other side; the certificate was verified in the handshake."""
        self._transport = transport  # type: ignore[assignment]
        self._flow = Flow(self._transport, self._server.limits.buffered_bytes)
        name = transport.get_extra_info("peername")
        host, port = (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)
        self._peer = Peer(host, port, certificate_of(transport.get_extra_info("ssl_object")))
        self._server.connections.add(self)
        if self._server.closing or not self._server.has_room(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everyone who waits for this peer."""
        self._server.forget(self)
        self._flow.set_lost()
        self._waiting.clear()
        if self._receiving is not None:
            self._receiving.feed_eof(broken=True)
        if self._tunnel is not None:
            self._tunnel.feed_eof()
        elif self._streaming and self._task is not None:
            self._task.cancel()
        callbacks, self._disconnects = self._disconnects, []
        for callback in callbacks:
            callback()

    def pause_writing(self) -> None:
        """asyncio: the send buffer is above its mark."""
        self._flow.pause()

    def resume_writing(self) -> None:
        """asyncio: the send buffer is below its mark."""
        self._flow.resume()
        if self._current is None and self._waiting:
            self._follow()

    def eof_received(self) -> bool:
        """asyncio: the peer sent its last byte. A tunnel may still write."""
        if self._tunnel is not None:
            self._tunnel.feed_eof()
            return self._transport.get_extra_info("ssl_object") is None  # TLS has no half-close in asyncio
        return False

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        if self._tunnel is not None:
            self._tunnel.feed(data)
            return
        if self._bad or self._closing:
            return
        if self._current is not None and self._current.upgrade:
            self._after_upgrade += data
            if len(self._after_upgrade) > self._server.limits.head_bytes:
                self._transport.abort()
            return
        if self._current is None and not (self._in_message or self._waiting or self._flow.is_paused):
            known = self._server.heads.find(data)
            if known is not None:  # the parser, between two requests, need not hear of this one
                is_near = time.monotonic() - self._since < NEAR_S
                self._start(Request("GET", *known, b"", self._peer, on_disconnect=self._add_disconnect))
                if is_near and self._current is None:
                    self._server.awake.stay()
                return
            self._arrived = data
        self._overhead_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as err:
            self._after_upgrade = bytes(data[err.args[0] :])
        except (httptools.HttpParserError, ValueError):
            self._refuse(400)
            return
        finally:
            self._arrived = b""
        # also chunk extensions and trailers, which no handler sees, however long
        if self._in_message and self._overhead_bytes > self._server.limits.head_bytes:
            self._refuse(431 if self._in_head else 400)

    # --- parser side

    def on_message_begin(self) -> None:
        """httptools: a request line begins."""
        self._in_head = self._in_message = True
        self._since = time.monotonic()
        self._url = b""
        self._headers = Headers()
        self._body = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """httptools: a piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one field. Those behind a body are dropped: they are no header (RFC 9110 6.5.1)."""
        if self._in_head:
            self._headers.add(name.decode("latin-1"), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """httptools: the head is complete; a streamed request starts here."""
        self._in_head = False
        self._overhead_bytes = 0
        if self._bad:
            return
        length = self._headers.get("content-length")
        chooser = self._server.streams_body
        has_body = length not in ("", "0") or "transfer-encoding" in self._headers
        if chooser is not None and has_body and chooser(self._url.decode("latin-1")):
            self._continue()
            request = self._make_request()
            request.stream = self._receiving = BodyStream(self._transport)
            self._enqueue(request)
            return
        if length.isdigit() and int(length) > self._server.limits.body_bytes:
            self._refuse(413)
        else:
            self._continue()

    def _continue(self) -> None:
        """Ask for the body that a client holds back; never in the midst of another request's answer."""
        if self._current is None and self._headers.get("expect").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """httptools: a piece of the body."""
        # eight bytes of framing for each: more is a peer that sends anything but a body
        self._overhead_bytes = max(0, self._overhead_bytes - 9 * len(data))
        if self._receiving is not None:
            self._receiving.feed(data)
            return
        self._body_bytes += len(data)
        if self._body_bytes > self._server.limits.body_bytes:
            self._refuse(413)
        elif not self._bad:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """httptools: the request is complete."""
        self._in_message = False
        self._overhead_bytes = 0
        if self._bad:
            return
        if self._receiving is not None:
            self._receiving.feed_eof()
            self._receiving = None
            return
        request = self._make_request()
        if (
            self._arrived
            and request.method == "GET"
            and not request.upgrade
            and self._headers_keep_alive(request)
        ):
            self._server.heads.remember(self._arrived, self._headers)
        self._enqueue(request)

    def _make_request(self) -> Request:
        parser = self._parser
        upgrade = self._headers.get("upgrade").lower() if parser.should_upgrade() else ""
        return Request(
            method=parser.get_method().decode("latin-1"),
            target=self._url.decode("latin-1"),
            headers=self._headers,
            body=b"".join(self._body),
            peer=self._peer,
            upgrade=upgrade,
            http_version=parser.get_http_version(),
            on_disconnect=self._add_disconnect,
        )

    def _add_disconnect(self, callback: Callable[[], None]) -> None:
        if self._flow.lost:
            callback()
        else:
            self._disconnects.append(callback)

    def _enqueue(self, request: Request) -> None:
        if not self._headers_keep_alive(request):
            self._closing = True
        if self._current is None and not self._flow.is_paused:
            self._start(request)
            return
        self._waiting.append(request)
        if len(self._waiting) >= self._server.limits.pipelined and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _headers_keep_alive(self, request: Request) -> bool:
        if request.upgrade:
            return True
        return self._parser.should_keep_alive()

    # --- handler side

    def _start(self, request: Request) -> None:
        self._current = request
        try:
            result = self._server.handler(request)
        except Exception as err:
            log.exception("handler failed: %s %s", request.method, request.path)
            result = self._server.on_error(request, err)
        if isinstance(result, Response):
            parts = result.parts
            size = size_of(parts)
            if size <= SLICE_BYTES:
                self._write_short(request, result, parts, size)
                self._finish(request, result)
                return
        self._task = self._server.spawn(self._answer(request, result))

    async def _answer(self, request: Request, result: Answer | Awaitable[Answer]) -> None:
        """Task of one request: wait for the answer, send it. Never raises."""
        answer: Answer | None = None
        try:
            if isinstance(result, Response | StreamResponse | UpgradeResponse):
                answer = result
            else:
                answer = await self._handled(request, result)
            await self._send(request, answer)
        except ConnectionError:
            self._transport.abort()
        except Exception:
            log.exception("answer broke off: %s %s", request.method, request.path)
            self._transport.abort()
        finally:
            self._task = None
            self._streaming = False
        if not self._flow.lost and answer is not None:
            self._finish(request, answer)

    async def _handled(self, request: Request, result: Awaitable[Answer]) -> Answer:
        self._server.awake.under_way += 1
        try:
            return await result
        except Exception as err:
            log.exception("handler failed: %s %s", request.method, request.path)
            return self._server.on_error(request, err)
        finally:
            self._server.awake.under_way -= 1

    async def _send(self, request: Request, answer: Answer) -> None:
        if self._flow.lost:
            return
        if isinstance(answer, Response):
            parts = answer.parts
            size = size_of(parts)
            if size <= SLICE_BYTES:
                self._write_short(request, answer, parts, size)
            else:
                await self._write_long(request, answer, parts, size)
        elif isinstance(answer, StreamResponse):
            await self._write_stream(request, answer)
        else:
            await self._write_tunnel(request, answer)

    def _write_short(self, request: Request, answer: Response, parts: Parts, size: int) -> None:
        if self._flow.lost:
            return
        head = self._fixed_head(request, answer, size)
        if request.method == "HEAD":
            self._transport.write(head)
        else:
            self._transport.write(b"".join((head, *parts)))

    async def _write_long(self, request: Request, answer: Response, parts: Parts, total: int) -> None:
        self._transport.write(self._fixed_head(request, answer, total))
        if request.method == "HEAD":
            return
        if isinstance(parts, LongBody):  # its maker cuts it; gathering would copy it once more
            for piece in parts:
                self._flow.write(piece)
                await self._flow.drain()
            return
        batch: list[bytes] = []
        size = 0
        for part in parts:
            for start in range(0, len(part), SLICE_BYTES):
                piece = part if len(part) <= SLICE_BYTES else part[start : start + SLICE_BYTES]
                batch.append(piece)
                size += len(piece)
                if size >= SLICE_BYTES:
                    self._flow.write(b"".join(batch))
                    batch, size = [], 0
                    await self._flow.drain()
        if batch:
            self._flow.write(b"".join(batch))

    def _fixed_head(self, request: Request, answer: Response, length: int) -> bytes:
        bodyless = answer.status in (204, 304) or answer.status < 200
        size = b"" if bodyless else b"Content-Length: %d\r\n" % length
        return self._head(answer.status, answer.content_type, answer.headers) + answer.head + size + b"\r\n"

    def _head(self, status: int, content_type: str, headers: Sequence[tuple[str, str]]) -> bytes:
        fields = encode_fields(headers) if headers else b""
        close = b"Connection: close\r\n" if self._closing or self._server.closing else b""
        return head_prefix(status, content_type) + date_line() + fields + close

    async def _write_stream(self, request: Request, answer: StreamResponse) -> None:
        chunked = request.http_version != "1.0"
        if not chunked:
            self._closing = True
        coding = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        self._transport.write(
            self._head(answer.status, answer.content_type, answer.headers) + answer.head + coding + b"\r\n"
        )
        stream = Stream(self._flow, chunked=chunked, silent=request.method == "HEAD")
        self._streaming = True
        await answer.run(stream)
        stream.end()

    async def _write_tunnel(self, request: Request, answer: UpgradeResponse) -> None:
        head = head_prefix(101, "") + encode_fields(
            (("Connection", "Upgrade"), ("Upgrade", answer.protocol), *answer.headers)
        )
        self._transport.write(head + b"\r\n")
        self._tunnel = Tunnel(self._flow)
        if self._after_upgrade:
            self._tunnel.feed(self._after_upgrade)
            self._after_upgrade = b""
        try:
            await answer.run(self._tunnel)
        finally:
            self._transport.close()

    def _finish(self, request: Request, answer: Answer) -> None:
        self._current = None
        self._disconnects.clear()
        self._since = time.monotonic()
        if self._tunnel is not None:
            return
        # An unread rest of a streamed body, or bytes after a refused upgrade, cannot be told from a request.
        unread = request.stream is not None and self._receiving is request.stream
        if (
            request.upgrade
            or unread
            or self._bad
            or ((self._closing or self._server.closing) and not self._waiting)
        ):
            self._closing = True
            self._transport.close()
            return
        if self._waiting and not self._flow.is_paused:  # else when the peer has read what it was answered
            self._follow()

    def _follow(self) -> None:
        """Start the next of a pipeline."""
        following = self._waiting.popleft()
        if self._paused and not self._waiting:
            self._paused = False
            self._transport.resume_reading()
        # Through the loop: a long pipeline answered at once must not nest calls.
        asyncio.get_running_loop().call_soon(self._start_next, following)
        self._current = following

    def _start_next(self, request: Request) -> None:
        if not self._flow.lost:
            self._start(request)

    def _refuse(self, status: int) -> None:
        """Answer a request that cannot be parsed or held, then close."""
        self._bad = True
        self._closing = True
        self._body = []
        if self._current is None:
            answer = self._server.on_refusal(status)
            self._write_short(_NOBODY, answer, answer.parts, size_of(answer.parts))
            # Bytes that nobody reads would make the kernel reset the connection, the answer with it.
            if self._transport.can_write_eof():
                self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)

    # --- server side

    def shut_down(self) -> None:
        """Close when idle; else after the answer under way. Streams and tunnels are ended."""
        if self._current is None:
            self._transport.close()
        elif self._streaming and self._task is not None:
            self._task.cancel()
            self._transport.close()
        elif self._tunnel is not None:
            self._tunnel.feed_eof()

    def abort(self) -> None:
        """Drop the connection and its task."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def check_timeout(self, now: float) -> None:
        """Drop a peer that is idle for too long, or too slow in sending a head or body."""
        limits = self._server.limits
        if self._tunnel is not None or self._streaming:
            return
        if self._current is not None:
            if self._flow.is_paused and now - self._flow.paused_at > limits.stall_timeout_s:
                self._transport.abort()
        elif now - self._since > (limits.head_timeout_s if self._in_message else limits.idle_timeout_s):
            self._transport.abort()

    @property
    def idle_since(self) -> float | None:
        """When the last request was answered or begun; None while one is being answered."""
        return self._since if self._current is None and self._tunnel is None else None


_NOBODY = Request("GET", "/", Headers(), b"", Peer("", 0))


def certificate_of(ssl_object: Any) -> Certificate | None:
    """Read the verified client certificate's subject from an ssl object, if there is one."""
    if ssl_object is None:
        return None
    found = ssl_object.getpeercert()
    if not found:
        return None
    subject = [pair for rdn in found.get("subject", ()) for pair in rdn]
    names = [value for key, value in subject if key == "commonName"]
    organizations = tuple(value for key, value in subject if key == "organizationName")
    expiry = calendar.timegm(time.strptime(found["notAfter"], "%b %d %H:%M:%S %Y %Z"))
    return Certificate(
        names[0] if names else "",
        organizations,
        float(expiry),
        ssl_object.getpeercert(binary_form=True) or b"",
    )
