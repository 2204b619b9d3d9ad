"""Carries an upgraded connection, byte by byte, to a server behind us: one request, one connection."""

import ssl

from cri.wire.aio import dial, pipe
from cri.wire.errors import ProtocolError
from nanokube.api import errors
from nanokube.apiserver.subresources.location import Address
from nanokube.kit.http import tunnel_pipe
from nanokube.kit.http.message import Answer, Fields, Request, Response, UpgradeResponse
from nanokube.kit.http.stream import Tunnel

# What a client may say to the server behind us; its credentials stay here.
_REQUEST_FIELDS = ("upgrade", "x-stream-protocol-version", "user-agent", "origin")
_ANSWER_FIELDS = ("x-stream-protocol-version", "x-accepted-stream-protocol-versions", "content-type")
_MAX_REFUSAL_BYTES = 50_000


async def tunnel(
    request: Request,
    address: Address,
    target: str,
    tls: ssl.SSLContext | None,
    fields: Fields | None = None,
    *,
    server_name: str = "",
) -> Answer:
    """Ask the server behind us for the same upgrade; a refusal is handed on. Raises ApiError.

    server_name: whom its certificate must be for, if that is not the address.
    """
    if not request.upgrade:
        raise errors.bad_request("Upgrade request required")
    try:
        answer = await dial.dial(
            address.host,
            address.port,
            request.method,
            target,
            request_fields(request, fields),
            tls=tls,
            server_name=server_name,
        )
    except (OSError, ProtocolError) as err:
        raise errors.internal(f"error dialing backend: {err}") from err
    if not answer.is_upgraded:
        return await _refusal(answer)
    request.on_disconnect(answer.abort_later)

    async def run(connection: Tunnel) -> None:
        upstream = answer.pipe()
        try:
            await pipe.relay(tunnel_pipe.TunnelPipe(connection), upstream)
        finally:
            await upstream.close()

    return UpgradeResponse(answer.field("upgrade") or request.upgrade, run, headers=_answer_fields(answer))


def require_method(request: Request, *methods: str) -> None:
    """Refuse other methods: only these were authorized as what they do. Raises ApiError 405."""
    if request.method not in methods:
        raise errors.no_such_method()


def request_fields(request: Request, fields: Fields | None) -> list[tuple[str, str]]:
    """Choose the fields to send on: those given, or the few that an upgrade needs."""
    if fields is not None:
        return list(fields)
    return [
        (name, value)
        for name, value in request.headers
        if name in _REQUEST_FIELDS or name.startswith("sec-websocket-")
    ]


def _answer_fields(answer: dial.Answer) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in answer.fields
        if name in _ANSWER_FIELDS or name.startswith("sec-websocket-")
    ]


async def _refusal(answer: dial.Answer) -> Response:
    try:
        if answer.status < 400:
            raise errors.internal(f"invalid upgrade response: status code {answer.status}")
        body = await answer.read(_MAX_REFUSAL_BYTES)
        kept = [(name, value) for name, value in _answer_fields(answer) if name != "content-type"]
        return Response(answer.status, body, answer.field("content-type") or "text/plain", kept)
    finally:
        await answer.close()
