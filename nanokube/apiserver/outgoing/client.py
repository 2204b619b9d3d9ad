"""POSTs JSON to webhooks, for admission and conversion: kept connections, bounded answers, no redirects.

Source: staging apiserver pkg/util/webhook/client.go.
"""

from __future__ import annotations

import asyncio
import functools
import math
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult

from nanokube.api import errors
from nanokube.apiserver.outgoing import namesake
from nanokube.apiserver.outgoing import target as targets
from nanokube.apiserver.outgoing.target import CannotReach, Endpoints, Target

# A mutating webhook answers a patch of an object of at most 3 MiB, base64 in JSON; twice that is garbage.
MAX_ANSWER_BYTES: Final = 8 << 20
CONNECTIONS_PER_HOST: Final = 64
KEEPALIVE_S: Final = 90.0
_MAX_CAUSE: Final = 200  # characters


class CallFailed(Exception):
    """No usable answer. code: as upstream's metrics count it. is_timeout: it took too long."""

    def __init__(self, cause: str, code: int = 503, *, is_timeout: bool = False) -> None:
        super().__init__(cause)
        self.code = code
        self.is_timeout = is_timeout


class Client:
    """One a server; close it in the end. endpoints: finds what is behind a Service."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def post(self, config: Mapping[str, Any], body: bytes, timeout_s: float) -> bytes:
        """POST JSON to where a clientConfig points; return the body of the answer. Raises CallFailed."""
        try:
            target = targets.read(config)
        except CannotReach as err:
            raise CallFailed(str(err), 500) from err
        url = f"{target.url}{'&' if '?' in target.url else '?'}timeout={math.ceil(timeout_s)}s"
        try:
            return await self._post(target, url, body, timeout_s)
        except TimeoutError as err:
            raise CallFailed(f'Post "{url}": context deadline exceeded', is_timeout=True) from err
        except (aiohttp.ClientError, OSError, ValueError, CannotReach) as err:
            raise CallFailed(f'Post "{url}": {cause_of(err)}') from err

    async def _post(self, target: Target, url: str, body: bytes, timeout_s: float) -> bytes:
        async with asyncio.timeout(timeout_s):
            used: list[bool] = []
            try:
                return await self._once(target, url, body, used)
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                if not used:
                    raise
            except aiohttp.ClientConnectorCertificateError as err:
                if not await self._learn(target, err):
                    raise
            # A connection kept from before had been closed, as the server may: nothing was heard of this.
            # Or else the server was met with doubts, which are gone.
            return await self._once(target, url, body, used)

    async def _learn(self, target: Target, err: aiohttp.ClientConnectorCertificateError) -> bool:
        """Tell whether the server is to be believed after all."""
        if not namesake.is_possible(err.certificate_error):
            return False
        if target.service is None:
            places = [(err.host, err.port or targets.DEFAULT_PORT)]
        else:
            namespace, name, port = target.service
            places = list(self._endpoints(namespace, name, port))
        return await namesake.learn(authority(target.authority), target.authority, err.host, places)

    async def _once(self, target: Target, url: str, body: bytes, used: list[bool]) -> bytes:
        """POST. used: gets an entry if the connection is not new."""
        session, context = self._session(target.service is not None), authority(target.authority)
        async with session.post(
            url, data=body, ssl=context, allow_redirects=False, trace_request_ctx=used
        ) as answer:
            data = bytearray()
            async for part in answer.content.iter_any():
                data += part
                if len(data) > MAX_ANSWER_BYTES:
                    answer.close()
                    raise CallFailed(f"the answer is longer than {MAX_ANSWER_BYTES} bytes", 500)
            if not 200 <= answer.status < 300:
                raise _refused(answer.status, bytes(data))
            return bytes(data)

    def _session(self, is_service: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(is_service)
        if session is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                limit_per_host=CONNECTIONS_PER_HOST,
                keepalive_timeout=KEEPALIVE_S,
                use_dns_cache=not is_service,
                resolver=Resolver(self._endpoints) if is_service else None,
            )
            session = self._sessions[is_service] = aiohttp.ClientSession(
                connector=connector,
                headers={
                    "User-Agent": "kube-apiserver-admission",
                    "Content-Type": "application/json",
                    "Accept": "application/json, */*",
                },
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[_note_reuse()],
            )
        return session

    async def close(self) -> None:
        """Close all connections."""
        while self._sessions:
            await self._sessions.popitem()[1].close()


def _note_reuse() -> aiohttp.TraceConfig:
    async def note(session: aiohttp.ClientSession, context: Any, params: Any) -> None:
        context.trace_request_ctx.append(True)

    config = aiohttp.TraceConfig()
    config.on_connection_reuseconn.append(note)
    return config


class Resolver(AbstractResolver):
    """Finds endpoints of Services, whose names are <name>.<namespace>.svc."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        name, namespace, _ = host.split(".")
        found: list[ResolveResult] = []
        for address, number in self._endpoints(namespace, name, port):
            infos = await asyncio.get_running_loop().getaddrinfo(address, number, type=socket.SOCK_STREAM)
            found += (
                ResolveResult(
                    hostname=host,
                    host=str(info[4][0]),
                    port=number,
                    family=info[0],
                    proto=info[2],
                    flags=socket.AI_NUMERICHOST,
                )
                for info in infos
            )
        return found

    async def close(self) -> None:
        """Nothing is held."""


@functools.lru_cache(maxsize=256)
def authority(pem: str) -> ssl.SSLContext:
    """Make the TLS of who is believed if one of these certificates vouches for it; none: those of the host.

    Raises ssl.SSLError, ValueError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, and checks the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if pem:
        context.load_verify_locations(cadata=pem)
    else:
        context.load_default_certs()
    # Go believes every certificate of the bundle, not only roots, and demands no key identifiers.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _refused(status: int, body: bytes) -> CallFailed:
    """Word an answer that is no success; a webhook may send a Status, as the API does."""
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        tree = None
    if isinstance(tree, dict) and tree.get("kind") == "Status":
        said = errors.from_status(tree, status)
        return CallFailed(said.message or "unknown", said.code)
    if 300 <= status < 400:
        return CallFailed(f"redirects are not followed (status {status})", 500)
    words = {
        400: "the server rejected our request for an unknown reason",
        401: "the server has asked for the client to provide credentials",
        403: "forbidden",
        404: "the server could not find the requested resource",
        500: "an error on the server has prevented the request from succeeding",
        503: "the server is currently unable to handle the request",
    }
    return CallFailed(words.get(status, f"the server responded with the status code {status}"), status)


def cause_of(err: Exception) -> str:
    """Word an error of the network as Go does, where clients look for the words."""
    if isinstance(err, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: x509: {err.certificate_error}"
    if isinstance(err, aiohttp.ClientConnectorError):
        inner = err.os_error
        where = f"{err.host}:{err.port}"
        if isinstance(inner, ConnectionRefusedError):
            return f"dial tcp {where}: connect: connection refused"
        return f"dial tcp {where}: {inner.strerror or inner}"
    if isinstance(err, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(err, aiohttp.ClientResponseError):
        return f"malformed HTTP response: {_line(err.message)}"
    return _line(str(err)) or type(err).__name__


def _line(text: str) -> str:
    """Make a line of a text that may quote what a stranger sent: it goes into answers and logs."""
    return " ".join(text.split())[:_MAX_CAUSE]
