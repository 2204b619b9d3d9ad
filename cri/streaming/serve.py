"""Serves one upgraded request: chooses the protocol, runs the session, lingers while the client reads."""

import asyncio
import dataclasses
import functools
import socket
from collections.abc import Coroutine, Iterator
from typing import Any, ClassVar

from cri.streaming import backend as backends
from cri.streaming import clients, command, forward
from cri.streaming.http import Exchange
from cri.wire import channels, portforward, remotecommand, upgrade
from cri.wire.aio import race, spdy
from cri.wire.aio.pipe import LEAVE_S, BytePipe
from cri.wire.aio.websocket import TunnelPipe, WebSocket

LINGER_S = 1.0  # closing with input unread resets the connection, which could cost the client our last bytes


@dataclasses.dataclass(frozen=True, slots=True)
class ExecCall:
    """What an exec URL stands for."""

    verb: ClassVar[str] = "exec"
    container_id: str
    options: remotecommand.Options
    argv: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class AttachCall:
    """What an attach URL stands for."""

    verb: ClassVar[str] = "attach"
    container_id: str
    options: remotecommand.Options


@dataclasses.dataclass(frozen=True, slots=True)
class ForwardCall:
    """What a port-forward URL stands for. ports: for WebSocket channels only."""

    verb: ClassVar[str] = "portforward"
    sandbox_id: str
    ports: tuple[int, ...]


Call = ExecCall | AttachCall | ForwardCall


async def serve(exchange: Exchange, call: Call, backend: backends.Backend, run: command.Call) -> None:
    """Answer the request and serve its streams to the end. Raises ProtocolError, ConnectionError."""
    wish = upgrade.parse(exchange.fields)
    if wish is None:
        await exchange.refuse(400, "Upgrade request required")
    elif wish.is_websocket and not upgrade.is_valid_key(wish.key):
        await exchange.refuse(400, "cannot upgrade: bad Sec-WebSocket-Key")
    elif isinstance(call, ForwardCall):
        connect = _Connect(backend, call.sandbox_id, run)
        if wish.is_websocket:
            await _forward_websocket(exchange, wish, call, connect)
        else:
            await _forward_spdy(exchange, wish, connect)
    elif wish.is_websocket:
        await _command_websocket(exchange, wish, call, backend, run)
    else:
        await _command_spdy(exchange, wish, call, backend, run)


class _Connect:
    def __init__(self, backend: backends.Backend, sandbox_id: str, run: command.Call) -> None:
        self._backend, self._sandbox_id, self._run = backend, sandbox_id, run

    def __call__(self, port: int) -> "asyncio.Future[socket.socket]":
        return self._run(functools.partial(self._backend.connect, self._sandbox_id, port))


def _open_session(backend: backends.Backend, call: ExecCall | AttachCall) -> backends.Session:
    stdin, stdout, stderr, tty = dataclasses.astuple(call.options)
    if isinstance(call, ExecCall):
        return backend.exec(call.container_id, call.argv, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
    return backend.attach(call.container_id, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)


async def _command_spdy(
    exchange: Exchange,
    wish: upgrade.Wish,
    call: ExecCall | AttachCall,
    backend: backends.Backend,
    run: command.Call,
) -> None:
    protocol = remotecommand.choose(wish.protocols, remotecommand.PROTOCOLS)
    if protocol is None:
        await _refuse_protocols(exchange, remotecommand.PROTOCOLS)
        return
    session = spdy.Session(await exchange.switch(wish, protocol), server=True)

    async def serve_command() -> None:
        client = await clients.gather_spdy(session, call.options, protocol)
        if client:
            await command.serve(client, functools.partial(_open_session, backend, call), run, call.verb)
            await asyncio.sleep(LINGER_S)

    await race.first(serve_command(), *_departures(call, session.run(), exchange.departed()))


async def _command_websocket(
    exchange: Exchange,
    wish: upgrade.Wish,
    call: ExecCall | AttachCall,
    backend: backends.Backend,
    run: command.Call,
) -> None:
    dialect = channels.choose(wish.protocols)
    if dialect is None:
        await _refuse_protocols(exchange, [dialect.name for dialect in channels.DIALECTS])
        return
    websocket = WebSocket(await exchange.switch(wish, dialect.name))
    client = clients.WebSocketClient(websocket, dialect, call.options)

    async def serve_command() -> None:
        await client.open()
        await command.serve(client, functools.partial(_open_session, backend, call), run, call.verb)
        await asyncio.sleep(LINGER_S)

    await race.first(serve_command(), *_departures(call, client.run(), exchange.departed()))


def _departures(
    call: ExecCall | AttachCall, *signs: Coroutine[Any, Any, None]
) -> Iterator[Coroutine[Any, Any, None]]:
    """Let the process read what a client sent before it left, for some clients do not wait for an answer.

    A terminal hangs up at once.
    """
    wait_s = LEAVE_S if call.options.stdin and not call.options.tty else 0.0

    async def departure(sign: Coroutine[Any, Any, None]) -> None:
        await sign
        await asyncio.sleep(wait_s)

    return map(departure, signs)


async def _forward_spdy(exchange: Exchange, wish: upgrade.Wish, connect: forward.Connect) -> None:
    protocol = remotecommand.choose(wish.protocols, (portforward.PROTOCOL,))
    if protocol is None:
        await _refuse_protocols(exchange, (portforward.PROTOCOL,))
        return
    await _forward_streams(exchange, await exchange.switch(wish, protocol), connect)


async def _forward_streams(exchange: Exchange, pipe: BytePipe, connect: forward.Connect) -> None:
    session = spdy.Session(pipe, server=True)
    await race.first(session.run(), forward.serve_spdy(session, connect), exchange.departed())


async def _forward_websocket(
    exchange: Exchange, wish: upgrade.Wish, call: ForwardCall, connect: forward.Connect
) -> None:
    if portforward.is_tunnel(wish.protocols):
        websocket = WebSocket(await exchange.switch(wish, portforward.TUNNEL_PROTOCOL))
        await _forward_streams(exchange, TunnelPipe(websocket), connect)
        return
    dialect = channels.choose(wish.protocols)
    if dialect is None:
        await _refuse_protocols(exchange, (portforward.TUNNEL_PROTOCOL, channels.V4.name))
    elif not call.ports or not all(0 < port <= 0xFFFF for port in call.ports) or len(call.ports) > 100:
        await exchange.refuse(400, "port-forward by channels needs 1 to 100 ports")
    else:
        websocket = WebSocket(await exchange.switch(wish, dialect.name))
        forwarder = forward.WebSocketForward(websocket, dialect, call.ports, connect)

        async def serve_ports() -> None:
            await forwarder.serve()
            await asyncio.sleep(LINGER_S)

        await race.first(forwarder.run(), serve_ports(), exchange.departed())


async def _refuse_protocols(exchange: Exchange, supported: tuple[str, ...] | list[str]) -> None:
    fields = upgrade.refusal_fields(supported)
    await exchange.refuse(403, f"cannot upgrade: only {', '.join(supported)} are spoken here", fields)
