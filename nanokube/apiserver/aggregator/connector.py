"""Speaks to extension servers: TLS as each APIService says, our front-proxy certificate, kept connections."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp
import yarl

from nanokube.apiserver.aggregator.table import Remote
from nanokube.apiserver.outgoing import namesake
from nanokube.apiserver.outgoing.client import Resolver, cause_of
from nanokube.apiserver.outgoing.target import CannotReach, Endpoints
from nanokube.kit import tls

KEEPALIVE_S: Final = 60.0
CONNECT_TIMEOUT_S: Final = 10.0
MAX_DOCUMENT_BYTES: Final = 32 << 20  # OpenAPI of everything that Kubernetes has is 4 MB

Fields = Sequence[tuple[str, str]]


class Unreachable(Exception):
    """The server cannot be asked, or does not answer."""


class Connector:
    """One a server; close it in the end. certificate, key: what shows that users' names come from us."""

    def __init__(self, endpoints: Endpoints, certificate: Path | None, key: Path | None) -> None:
        self._endpoints = endpoints
        self._pair = (certificate, key) if certificate is not None and key is not None else None
        self._shown: tuple[int, ...] = ()
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}
        self._session: aiohttp.ClientSession | None = None

    def address(self, remote: Remote) -> tuple[str, int]:
        """Choose an endpoint. Raises CannotReach."""
        return self._endpoints(remote.namespace, remote.service, remote.port)[0]

    def context(self, remote: Remote) -> ssl.SSLContext:
        """Give the TLS for a remote, with our certificate as it is on disk. Raises Unreachable."""
        if remote.authority is None:
            raise Unreachable("unable to load root certificates: unable to parse bytes as PEM block")
        try:
            if self._pair is not None:
                shown = tuple(each.stat().st_mtime_ns for each in self._pair)
                if shown != self._shown:
                    self._contexts.clear()
                    self._shown = shown
            key = (remote.authority, remote.is_insecure)
            found = self._contexts.get(key)
            if found is None:
                found = self._contexts[key] = self._make(*key)
            return found
        except (OSError, ValueError) as err:  # ssl.SSLError among them
            raise Unreachable(f"cannot prepare TLS: {err}") from err

    def _make(self, authority: str, is_insecure: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if is_insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif authority:
            context.load_verify_locations(cadata=authority)
        else:
            context.load_default_certs()
        # As of webhooks: Go believes every certificate of the bundle, and demands no key identifiers.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self._pair is not None:
            tls.load_pair(context, self._pair[0].read_bytes(), self._pair[1].read_bytes())
        return context

    async def ask(
        self,
        remote: Remote,
        method: str,
        target: str,
        fields: Fields,
        body: bytes | AsyncIterator[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """Send a request; return the head of its answer, which the caller closes. Raises Unreachable.

        target: path and query as they are to stand on the wire.
        """
        url = yarl.URL(f"https://{remote.host}:{remote.port}{target}", encoded=True)
        context = self.context(remote)

        async def once() -> aiohttp.ClientResponse:
            return await self._opened().request(
                method, url, headers=fields, data=body, ssl=context, allow_redirects=False
            )

        try:
            try:
                return await once()
            except aiohttp.ClientConnectorCertificateError as err:
                if not (namesake.is_possible(err.certificate_error) and await self._learn(remote, context)):
                    raise
                return await once()
        except (aiohttp.ClientError, OSError, ValueError, CannotReach) as err:
            raise Unreachable(cause_of(err)) from err

    async def _learn(self, remote: Remote, context: ssl.SSLContext) -> bool:
        """Tell whether the server is to be believed after all."""
        places = self._endpoints(remote.namespace, remote.service, remote.port)
        return await namesake.learn(context, remote.authority or "", remote.host, places)

    async def fetch(
        self, remote: Remote, target: str, fields: Fields, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """GET a document: status, header fields by name, body. Raises Unreachable."""
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self.ask(remote, "GET", target, fields)
                try:
                    data = bytearray()
                    async for part in answer.content.iter_any():
                        data += part
                        if len(data) > MAX_DOCUMENT_BYTES:
                            raise Unreachable(f"{target} is longer than {MAX_DOCUMENT_BYTES} bytes")
                    return answer.status, answer.headers, bytes(data)
                finally:
                    answer.close()
        except TimeoutError as err:
            raise Unreachable("context deadline exceeded") from err
        except aiohttp.ClientError as err:
            raise Unreachable(cause_of(err)) from err

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    keepalive_timeout=KEEPALIVE_S,
                    use_dns_cache=False,
                    resolver=Resolver(self._endpoints),
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(OSError):
                await session.close()
