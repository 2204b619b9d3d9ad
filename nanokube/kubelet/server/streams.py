"""Carries exec, attach and port-forward as raw bytes to the loopback URL that the runtime gave."""

from urllib.parse import urlsplit

from cri.wire import portforward, remotecommand, upgrade
from cri.wire.aio import dial, pipe
from cri.wire.errors import ProtocolError
from nanokube.kit.http import tunnel_pipe
from nanokube.kit.http.message import Answer, Request, Response, UpgradeResponse
from nanokube.kit.http.stream import Tunnel
from nanokube.kubelet.server.host import HostError

_REQUEST_FIELDS = ("upgrade", "x-stream-protocol-version")
_ANSWER_FIELDS = ("x-stream-protocol-version", "x-accepted-stream-protocol-versions")
_MAX_REFUSAL_BYTES = 50_000


def command_options(request: Request) -> remotecommand.Options:
    """Read which streams exec or attach asks for. Raises HostError 400."""
    query = request.query
    tty = query.get("tty") == "1"
    options = remotecommand.Options(
        stdin=query.get("input") == "1",
        stdout=query.get("output") == "1",
        stderr=query.get("error") == "1" and not tty,  # a terminal has one output
        tty=tty,
    )
    if options.problem():
        raise HostError(400, "you must specify at least 1 of stdin, stdout, stderr")
    return options


def forward_ports(request: Request) -> tuple[int, ...]:
    """Read the ports of a WebSocket by channels; SPDY names them stream by stream. Raises HostError."""
    wish = upgrade.parse(request.headers)
    if wish is None or not wish.is_websocket or portforward.is_tunnel(wish.protocols):
        return ()
    values = request.query.getall("port")
    if not values:
        raise HostError(400, 'query parameter "port" is required')
    try:
        return portforward.parse_ports(values)
    except ProtocolError as err:
        raise HostError(400, str(err)) from err


def require_upgrade(request: Request) -> None:
    """Raises HostError: 405 for other methods than GET and POST, 400 without a wish to leave HTTP."""
    if request.method not in ("GET", "POST"):
        raise HostError(405, "405: Method Not Allowed")
    if upgrade.parse(request.headers) is None:
        raise HostError(400, "Upgrade request required")


async def tunnel(request: Request, url: str) -> Answer:
    """Ask the runtime for the same upgrade and carry bytes both ways. Raises HostError."""
    where = urlsplit(url)
    if where.scheme != "http" or where.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise HostError(500, "cannot use a streaming URL that is not on loopback")
    fields = [
        (name, value)
        for name, value in request.headers
        if name in _REQUEST_FIELDS or name.startswith("sec-websocket-")
    ]
    try:
        answer = await dial.dial(where.hostname, where.port or 80, request.method, where.path, fields)
    except (OSError, ProtocolError) as err:
        raise HostError(500, f"cannot reach the runtime's streaming server: {err}") from err
    kept = [
        (name, value)
        for name, value in answer.fields
        if name in _ANSWER_FIELDS or name.startswith("sec-websocket-")
    ]
    if not answer.is_upgraded:
        body = await answer.read(_MAX_REFUSAL_BYTES)
        await answer.close()
        status = answer.status if answer.status >= 400 else 500
        return Response(status, body, "text/plain", kept)
    request.on_disconnect(answer.abort_later)

    async def run(connection: Tunnel) -> None:
        upstream = answer.pipe()
        try:
            await pipe.relay(tunnel_pipe.TunnelPipe(connection), upstream)
        finally:
            await upstream.close()

    return UpgradeResponse(answer.field("upgrade") or request.upgrade, run, kept)
