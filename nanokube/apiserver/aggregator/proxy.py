"""Hands requests on to extension servers, with the user in header fields; bodies go as fast as they are read.

Source: staging kube-aggregator pkg/apiserver/handler_proxy.go, apimachinery pkg/util/proxy/upgradeaware.go.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp

from nanokube.apiserver.aggregator.connector import Connector, Unreachable
from nanokube.apiserver.aggregator.table import Remote
from nanokube.apiserver.authn import remote_user
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.outgoing.target import CannotReach
from nanokube.apiserver.requestinfo import RequestInfo
from nanokube.apiserver.subresources import proxy_target
from nanokube.apiserver.subresources.location import Address
from nanokube.apiserver.subresources.tunnel import tunnel
from nanokube.kit.http.message import Answer, Request, Response, StreamResponse
from nanokube.kit.http.stream import BodyStream, Stream

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S: Final = 60.0  # of what is no watch: --request-timeout
WHOLE_BYTES: Final = 1 << 18  # an answer of known size up to this is sent in one piece
_REDIRECTED: Final = "the backend attempted to redirect this request, which is not permitted"


class Proxy:
    """One a server."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._via = f"1.1 nanokube-{secrets.token_hex(8)}"  # RFC 9110 7.6.3: whoever sees itself is in a loop

    async def forward(
        self, request: Request, info: RequestInfo, user: User, remote: Remote, *, is_available: bool
    ) -> Answer:
        """Answer with what the remote answers. Raises ApiError for an upgrade that failed."""
        via = request.headers.getall("via")
        if self._via in via:
            log.warning("api service leads back here: name=%s", remote.name)
            return refusal(508, "the APIService leads back to this server")
        if not is_available:
            return refusal(503, "service unavailable")
        kept = proxy_target.request_fields(_utf8(request), request.peer.host)
        fields = [*kept, ("Via", self._via), *remote_user.fields_of(user)]
        try:
            host, port = self._connector.address(remote)
            if request.upgrade:
                return await self._tunnel(request, remote, Address(host, port), fields)
            return await self._pass(request, info, remote, fields)
        except CannotReach as err:
            log.warning("api service not reached: name=%s error=%s", remote.name, err)
            return refusal(503, "service unavailable")
        except Unreachable as err:
            return refusal(503, f"error trying to reach service: {err}")

    async def _tunnel(
        self, request: Request, remote: Remote, address: Address, fields: list[tuple[str, str]]
    ) -> Answer:
        context = self._connector.context(remote)
        upgrade = ("Upgrade", request.headers.get("upgrade"))
        wire = [(name, value.encode().decode("latin-1")) for name, value in (*fields, upgrade)]
        return await tunnel(request, address, request.target, context, wire, server_name=remote.host)

    async def _pass(
        self, request: Request, info: RequestInfo, remote: Remote, fields: list[tuple[str, str]]
    ) -> Answer:
        task = asyncio.current_task()
        assert task is not None
        request.on_disconnect(lambda: _cancel(task))
        body: bytes | AsyncIterator[bytes] | None = request.body or None
        if request.stream is not None:
            body = _parts(request.stream)
        length = request.headers.get("content-length")
        if length and (request.stream is not None or length == "0"):
            fields = [*fields, ("Content-Length", length)]
        raw = request.raw_path + ("?" + request.query.raw if request.query.raw else "")
        is_lasting = info.verb == "watch"
        try:
            async with asyncio.timeout(None if is_lasting else REQUEST_TIMEOUT_S):
                answer = await self._connector.ask(remote, request.method, raw, fields, body)
                whole = None
                if not is_lasting and (answer.content_length or WHOLE_BYTES + 1) <= WHOLE_BYTES:
                    whole = await answer.read()
        except TimeoutError:
            return refusal(504, "the extension server did not answer in time")
        except aiohttp.ClientError as err:
            raise Unreachable(str(err)) from err
        return _answer(request, answer, whole)


def _answer(request: Request, answer: aiohttp.ClientResponse, whole: bytes | None) -> Answer:
    """Hand an answer back. whole: its body, if it was read."""
    if 300 <= answer.status <= 399 and answer.headers.get("Location"):
        answer.close()
        return refusal(502, _REDIRECTED)
    raw = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in answer.raw_headers]
    kept = [(name, value) for name, value in raw if name not in _NOT_BACK]
    content_type = next((value for name, value in raw if name == "content-type"), "")
    if whole is not None or answer.status in (204, 304):
        answer.close()
        return Response(answer.status, whole or b"", content_type, kept)
    request.on_disconnect(answer.close)

    async def run(stream: Stream) -> None:
        try:
            async for part in answer.content.iter_any():
                stream.write(part)
                await stream.drain()
        except (aiohttp.ClientError, ConnectionError):
            stream.abort()  # cut short there, cut short here
        finally:
            answer.close()

    return StreamResponse(run, answer.status, content_type, kept)


# Of this hop (RFC 9110 7.6.1), or written by our own server.
_NOT_BACK: Final = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "content-length", "content-type", "date",
    )
)  # fmt: skip


def refusal(status: int, cause: str) -> Response:
    """Answer as Go's http.Error: text, whatever the client accepts."""
    headers = [("X-Content-Type-Options", "nosniff")]
    return Response(status, cause.encode() + b"\n", "text/plain; charset=utf-8", headers)


def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()


async def _parts(stream: BodyStream) -> AsyncIterator[bytes]:
    """Take a body as fast as the server behind us reads it."""
    while part := await stream.read():
        yield part


def _utf8(request: Request) -> tuple[tuple[str, str], ...]:
    """Read the fields' values as UTF-8, which they are written as again."""
    return tuple(
        (name, value if value.isascii() else value.encode("latin-1").decode(errors="replace"))
        for name, value in request.headers
    )
