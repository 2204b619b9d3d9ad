"""Questions that are not the cluster's go to the host's own name servers, unchanged."""

import asyncio
import contextlib
import ipaddress
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

TIMEOUT_S = 2.0
ATTEMPTS = 2
MAX_IN_FLIGHT = 512


class NoAnswer(OSError):
    """No name server answered in time."""


def upstreams(resolv_conf: str, own: Iterable[str]) -> list[str]:
    """Return the name servers of a resolv.conf, without our own address: forwarding to it would loop."""
    found = []
    for line in resolv_conf.splitlines():
        match line.split():
            case ["nameserver", address, *_rest]:
                with contextlib.suppress(ValueError):
                    found.append(str(ipaddress.ip_address(address)))
    return [address for address in found if address not in set(own)]


class Forwarder:
    """Asks upstream servers in order; bounded in flight: a dead upstream cannot exhaust this process."""

    def __init__(self, resolv_conf: Path, own: Sequence[str]) -> None:
        self._resolv_conf = resolv_conf
        self._own = own
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._servers: list[str] = []
        self._stamp = 0

    async def ask(self, wire: bytes, *, tcp: bool = False) -> bytes:
        """Pass a query on and return the answer, with the query's own id. Raises NoAnswer."""
        servers = self._current_servers()
        if not servers:
            raise NoAnswer("cannot forward: the host has no name server")
        if self._slots.locked():
            raise NoAnswer("cannot forward: too many questions are waiting")
        async with self._slots:
            for server in servers * ATTEMPTS:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(TIMEOUT_S):
                        return await (_ask_tcp(server, wire) if tcp else _ask_udp(server, wire))
        raise NoAnswer(f"cannot forward: no answer from {', '.join(servers)}")

    def _current_servers(self) -> list[str]:
        """Read resolv.conf again when it changed: DHCP and resolvers rewrite it."""
        try:
            stamp = self._resolv_conf.stat().st_mtime_ns
            if stamp != self._stamp:
                self._servers = upstreams(self._resolv_conf.read_text(), self._own)
                self._stamp = stamp
        except OSError:
            self._servers = []
        return self._servers


class _Exchange(asyncio.DatagramProtocol):
    """One question over UDP from a port of its own with an id of its own, both unpredictable."""

    def __init__(self, identifier: bytes, answer: "asyncio.Future[bytes]") -> None:
        self._identifier = identifier
        self._answer = answer

    def datagram_received(self, data: bytes, _peer: object) -> None:
        if data[:2] == self._identifier and not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)


async def _ask_udp(server: str, wire: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    identifier = secrets.token_bytes(2)
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _protocol = await loop.create_datagram_endpoint(
        lambda: _Exchange(identifier, answer), remote_addr=(server, 53)
    )
    try:
        transport.sendto(identifier + wire[2:])
        return wire[:2] + (await answer)[2:]
    finally:
        transport.close()


async def _ask_tcp(server: str, wire: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(len(wire).to_bytes(2) + wire)
        length = int.from_bytes(await reader.readexactly(2))
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as err:
        raise ConnectionError(f"cannot read answer of {server}: {err}") from err
    finally:
        writer.close()
