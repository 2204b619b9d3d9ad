"""The DNS server of a node: UDP and TCP, on an address of each family; answers from the zone or forwards."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Never, cast

from nanokube.dns import forward, messages, zone

log = logging.getLogger(__name__)

TCP_IDLE_S = 10.0
MAX_TCP = 256


class Server:
    """Answers questions. Forwarding runs in tasks; the cluster's own names are answered on the spot."""

    def __init__(self, names: zone.Zone, domain: str, forwarder: forward.Forwarder) -> None:
        self._zone = names
        self._domain = domain
        self._forwarder = forwarder
        self._tcp_slots = asyncio.Semaphore(MAX_TCP)
        self._group: asyncio.TaskGroup | None = None

    async def run(self, addresses: Sequence[str], port: int = 53) -> Never:
        """Serve on all addresses until cancelled. Raises OSError if one cannot be bound."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            self._group = group
            async with contextlib.AsyncExitStack() as stack:
                for address in addresses:
                    transport, _protocol = await loop.create_datagram_endpoint(
                        lambda: _Datagrams(self), local_addr=(address, port)
                    )
                    stack.callback(transport.close)
                    await stack.enter_async_context(
                        await asyncio.start_server(self._serve_tcp, address, port)
                    )
                log.info("dns serving address=%s", ",".join(addresses))
                await loop.create_future()
        raise AssertionError("a server serves until cancelled")

    def answer_now(self, question: messages.Question) -> bytes | None:
        """Answer from the zone; None if the question is to be forwarded."""
        answer = self._zone.ask(question.name, question.type)
        if answer.outcome is zone.Outcome.FOREIGN:
            return None
        return messages.respond(question, answer, self._domain)

    async def forward(self, question: messages.Question, *, tcp: bool) -> bytes:
        """Answer from the host's name servers, or SERVFAIL."""
        try:
            return await self._forwarder.ask(question.wire, tcp=tcp)
        except forward.NoAnswer as err:
            log.debug("%s", err)
            return messages.fail(question, "SERVFAIL")

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a forwarding in a task of the server's group."""
        assert self._group is not None
        self._group.create_task(coroutine)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._tcp_slots:
                with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    while await self._serve_one(reader, writer):
                        pass
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(TCP_IDLE_S):
            length = int.from_bytes(await reader.readexactly(2))
            wire = await reader.readexactly(length)
        question = _question(wire)
        if question is None:
            return False
        response = self.answer_now(question) or await self.forward(question, tcp=True)
        writer.write(len(response).to_bytes(2) + response)
        await writer.drain()
        return True


def _question(wire: bytes) -> messages.Question | None:
    """Read a query; what is none gets no answer."""
    try:
        return messages.parse(wire)
    except messages.MessageError as err:
        log.debug("ignored: %s", err)
        return None


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by shape, not by class.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, peer: tuple[Any, ...]) -> None:
        question = _question(data)
        if question is None:
            return
        response = self._server.answer_now(question)
        if response is None:
            self._server.spawn(self._forward(question, peer))
        else:
            self._send(messages.truncate(question, response), peer)

    async def _forward(self, question: messages.Question, peer: tuple[Any, ...]) -> None:
        self._send(await self._server.forward(question, tcp=False), peer)

    def _send(self, data: bytes, peer: tuple[Any, ...]) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.sendto(data, peer)
