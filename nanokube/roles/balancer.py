"""A worker's way to the API servers: one loopback port, behind it a server that answers.

    kubelet, proxy, DNS ── 127.0.0.1:6444 ── bytes as they are ──> chosen server
                                             └─ it does not answer a read: another that does is chosen,
                                                connections to the old one are cut, clients come again,
                                                and those that are being made lead to the new one

TLS goes through: every server's certificate holds for 127.0.0.1. A server answers if it reads this node's
Lease from the store, so that one which has lost its etcd is left, too. With one server known nothing is
checked.
"""

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import logging
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final, Never

from nanokube.api import errors, resources
from nanokube.client import informer, kubeconfig, rest
from nanokube.kit import addresses, tasks

log = logging.getLogger(__name__)

FILE: Final = "servers.json"  # below Paths.lib
ADDRESS: Final = "127.0.0.1"
SERVICE: Final = "default/kubernetes"
CHECK_S: Final = 1.0  # with those below and etcd's election: writes resume within 5 s
SILENCE_S: Final = 0.8  # after this the others are asked, too
ANSWER_S: Final = 1.5
AGAIN_S: Final = 0.1  # after a round in which none answered; doubles up to CHECK_S
CONNECT_S: Final = 1.5
CHUNK_BYTES: Final = 64 * 1024
LEASES: Final = resources.get("leases.coordination.k8s.io")
LEASE_NAMESPACE: Final = "kube-node-lease"

Answers = Callable[[str], Awaitable[bool]]
Dial = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Balancer:
    """Forwards connections to the chosen of several servers ("host:port")."""

    def __init__(
        self,
        servers: Iterable[str],
        answers: Answers,
        file: Path,
        *,
        key: str = "",
        dial: Dial = asyncio.open_connection,
    ) -> None:
        """answers: whether a server does. file: where known servers are kept for the next start.

        key: this node's name; nodes choose differently of the same servers. dial: connects to host and port.
        """
        self._dial = dial
        self._answers = answers
        self._file = file
        known = sorted(kept(file), key=lambda each: hashlib.sha256(f"{key} {each}".encode()).digest())
        self._servers = list(dict.fromkeys([*known, *servers]))
        self.chosen = self._servers[0]
        self._suspected = asyncio.Event()
        self._choosing = asyncio.Lock()
        self._open: dict[asyncio.StreamWriter, str] = {}  # client's end -> server
        self._connecting: dict[asyncio.Timeout, str] = {}  # its limit -> server
        self._none_answered = False

    @property
    def servers(self) -> tuple[str, ...]:
        return tuple(self._servers)

    def learn(self, servers: Iterable[str]) -> None:
        """Take note of which servers there are; none means that nothing is known."""
        known = sorted(set(servers))
        if not known or known == sorted(self._servers):
            return
        self._servers = known
        log.info("api servers: %s", " ".join(known))
        with contextlib.suppress(OSError):
            temporary = self._file.with_suffix(".tmp")
            temporary.write_text(json.dumps(known) + "\n")
            temporary.replace(self._file)
        if self.chosen not in known:
            self._suspected.set()

    async def run(self, port: int) -> Never:
        """Listen, forward and watch over the chosen server until cancelled. Raises OSError: port is taken."""
        listener = await asyncio.start_server(self._serve, ADDRESS, port)
        async with listener:
            await self.watch()

    async def watch(self) -> Never:
        """Have a server chosen that answers, until cancelled.

        While none does, all are asked again and again: the one that is first after an election of etcd's is
        taken at once, not after another interval and another silence of the chosen one.
        """
        pause = AGAIN_S
        while True:
            if self._none_answered:
                await asyncio.sleep(pause)
                pause = min(2 * pause, CHECK_S)
            else:
                pause = AGAIN_S
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_S):
                        await self._suspected.wait()
            if self._suspected.is_set() or len(self._servers) > 1:
                self._suspected.clear()
                await self.check()

    async def check(self) -> None:
        """Choose another server if the chosen one has gone or does not answer."""
        async with self._choosing:
            others = [each for each in self._servers if each != self.chosen]
            given_up = asyncio.Event()
            if self._none_answered:
                given_up.set()

            async def holds(server: str) -> bool:
                if server != self.chosen:  # they wait until there is reason to ask them
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(SILENCE_S):
                            await given_up.wait()
                    return await self._answers(server)
                does = server in self._servers and await self._answers(server)
                if not does:
                    given_up.set()
                return does

            found = await first_that(holds, [self.chosen, *others])
            self._none_answered = found is None
            if found is not None and found != self.chosen:
                self._choose(found)

    def _choose(self, server: str) -> None:
        log.warning("api server left: from=%s to=%s", self.chosen, server)
        old, self.chosen = self.chosen, server
        for writer, to in list(self._open.items()):
            if to == old:
                writer.transport.abort()
        now = asyncio.get_running_loop().time()
        for limit, to in self._connecting.items():
            if to == old and not limit.expired():
                limit.reschedule(now)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection to its end."""
        up: asyncio.StreamWriter | None = None
        try:
            server, down, up = await self.connect()
            self._open[writer] = server
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, up), name="to server")
                group.create_task(_pump(down, writer), name="from server")
        except* OSError:  # either end has gone; the other learns it
            pass
        finally:
            self._open.pop(writer, None)
            for each in (writer, up):
                if each is not None:
                    each.transport.abort()

    async def connect(self) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the chosen server, or to whichever is chosen meanwhile. Raises OSError.

        Nothing of a client's was sent yet, so it need not notice.
        """
        while True:
            server = self.chosen
            try:
                async with asyncio.timeout(CONNECT_S) as limit:
                    self._connecting[limit] = server
                    try:
                        return server, *await self._reach(server)
                    finally:
                        del self._connecting[limit]
            except TimeoutError:
                if self.chosen == server:
                    self._suspected.set()
                    raise

    async def _reach(self, server: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = server.rpartition(":")
        try:
            return await self._dial(host.strip("[]"), int(port))
        except OSError:
            self._suspected.set()
            if len(self._servers) < 2:
                raise
            await asyncio.Event().wait()  # until another is chosen, or time is up
            raise


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def first_that(holds: Answers, candidates: Iterable[str]) -> str | None:
    """Ask all at once; return the first for which it holds, None if it does for none."""
    found: list[str] = []

    class _Found(Exception):
        pass

    async def ask(candidate: str) -> None:
        if await holds(candidate):
            found.append(candidate)
            raise _Found

    with contextlib.suppress(BaseExceptionGroup):
        async with asyncio.TaskGroup() as group:
            for each in candidates:
                group.create_task(ask(each), name=f"ask {each}")
    tasks.recover()  # from the group, which fails as soon as one is found
    return found[0] if found else None


class LeaseReader:
    """Asks servers for this node's Lease, with the node's credentials, over connections that are kept."""

    def __init__(self, file: Path, node: str) -> None:
        """file: the node's kubeconfig."""
        self._file = file
        self._node = node
        self._clients: dict[str, tuple[kubeconfig.Access, rest.Client]] = {}

    async def answers(self, server: str) -> bool:
        """Tell whether a server answers in time; a Lease that it lacks is an answer."""
        try:
            async with asyncio.timeout(ANSWER_S):
                client = await self._client(server)
                await client.get(LEASES, self._node, LEASE_NAMESPACE)
        except errors.ApiError as err:
            return err.code in (401, 403, 404)
        except (OSError, ValueError):
            return False
        return True

    async def _client(self, server: str) -> rest.Client:
        access = dataclasses.replace(kubeconfig.load(self._file), server=f"https://{server}")
        known = self._clients.get(server)
        if known is None:
            client = await rest.Client(access, user_agent="nanokube-balancer").__aenter__()
        else:
            client = known[1]
            if known[0] != access:  # renewed
                await client.become(access)
        self._clients[server] = (access, client)
        return client

    async def close(self) -> None:
        """Close the connections."""
        for _, client in self._clients.values():
            await client.__aexit__(None, None, None)
        self._clients.clear()


def kept(file: Path) -> list[str]:
    """Return the servers that were known last."""
    with contextlib.suppress(OSError, ValueError):
        return [str(each) for each in json.loads(file.read_bytes())]
    return []


def follow(balancer: Balancer, slices: informer.Informer) -> None:
    """Have a balancer learn servers from the EndpointSlices of Service kubernetes."""
    known: dict[str, frozenset[str]] = {}

    def handle(change: informer.Change, _old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        meta = new["metadata"]
        service = (meta.get("labels") or {}).get("kubernetes.io/service-name")
        if f"{meta.get('namespace')}/{service}" != SERVICE:
            return
        known[meta["name"]] = frozenset() if change == "DELETED" else servers_of(new)
        balancer.learn(each for of in known.values() for each in of)

    slices.subscribe(handle)


def servers_of(endpoint_slice: dict[str, Any]) -> frozenset[str]:
    """Return a slice's ready addresses with its port. Pure."""
    ports = [each["port"] for each in endpoint_slice.get("ports") or () if each.get("port")]
    return frozenset(
        addresses.host_port(address, ports[0])
        for endpoint in endpoint_slice.get("endpoints") or ()
        if ports and (endpoint.get("conditions") or {}).get("ready", True)
        for address in endpoint.get("addresses") or ()
    )


def host_port(url: str) -> str:
    """Return where a URL leads.

    >>> host_port("https://[fd00::1]"), host_port("https://192.0.2.1")
    ('[fd00::1]:443', '192.0.2.1:443')
    """
    parts = urllib.parse.urlsplit(url)
    return addresses.host_port(parts.hostname or "", parts.port or 443)
