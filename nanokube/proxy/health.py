"""Tells balancers outside of the cluster whether this node has endpoints of a Service (healthCheckNodePort).

Source: pkg/proxy/healthcheck/service_health.go.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 5.0
MAX_REQUEST_BYTES = 8192


def answer(key: str, count: int) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body for a Service of which so many endpoints are on this node. Pure."""
    namespace, _, name = key.partition("/")
    body = {
        "service": {"namespace": namespace, "name": name},
        "localEndpoints": count,
        "serviceProxyHealthy": True,
    }
    headers = {
        "Content-Type": "application/json",
        "X-Content-Type-Options": "nosniff",
        "X-Load-Balancing-Endpoint-Weight": str(count),
    }
    return (200 if count else 503), headers, json.dumps(body, separators=(",", ":")).encode()


class Checks:
    """The ports that balancers ask, one a Service."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._servers: dict[str, tuple[int, asyncio.Server]] = {}

    async def replace(self, wanted: Mapping[str, tuple[int, int]]) -> None:
        """Serve these Services: key -> port, count of endpoints here. A port that is taken is logged."""
        self._counts = {key: count for key, (_port, count) in wanted.items()}
        for key, (port, server) in list(self._servers.items()):
            if key not in wanted or wanted[key][0] != port:
                server.close()
                del self._servers[key]
        for key, (port, _count) in wanted.items():
            if key not in self._servers:
                await self._listen(key, port)

    def close(self) -> None:
        """End all of them."""
        for _port, server in self._servers.values():
            server.close()

    async def _listen(self, key: str, port: int) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
                await self._serve(key, reader, writer)
            writer.close()

        try:
            server = await asyncio.start_server(serve, None, port, limit=MAX_REQUEST_BYTES)
        except OSError as err:
            log.warning("health check not served service=%s port=%d error=%s", key, port, err)
            return
        self._servers[key] = (port, server)

    async def _serve(self, key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            await reader.readuntil(b"\r\n\r\n")
            status, headers, body = answer(key, self._counts.get(key, 0))
            lines = [f"HTTP/1.1 {status} {'OK' if status == 200 else 'Service Unavailable'}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            lines += [f"Content-Length: {len(body)}", "Connection: close"]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await writer.drain()
