"""A webhook's server of our own, over TLS on loopback, which answers what a test tells it to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import functools
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from nanokube.kit import pki

Answer = Callable[[dict[str, Any]], Any]


@functools.cache
def authority() -> pki.Authority:
    return pki.Authority.create("webhooks", datetime.datetime.now(datetime.UTC))


class HookServer:
    """answer: is given the review's request and returns the response; bytes go out as they are."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.connections = 0
        self.port = 0
        self.drops = 0  # requests still to be dropped with their connection
        self._peers: set[object] = set()

    @property
    def config(self) -> dict[str, Any]:
        """A clientConfig by URL."""
        return {"url": f"https://127.0.0.1:{self.port}/hook", "caBundle": self.bundle}

    @property
    def bundle(self) -> str:
        return base64.b64encode(authority().pair.certificate).decode()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        self._peers.add(peer)
        self.connections = len(self._peers)
        if self.drops and request.transport is not None:
            self.drops -= 1
            request.transport.abort()
            return web.Response()
        review = orjson.loads(await request.read())
        asked = review.get("request") or review
        self.requests.append(asked)
        self.paths.append(request.path_qs)
        found = self.answer(asked)
        if isinstance(found, Awaitable):
            found = await found
        if isinstance(found, web.StreamResponse):
            return found
        if isinstance(found, bytes):
            return web.Response(body=found)
        response = {"uid": asked.get("uid"), **found}
        about = {"apiVersion": review.get("apiVersion"), "kind": review.get("kind")}
        return web.json_response({**about, "response": response})


@contextlib.asynccontextmanager
async def serving(answer: Answer, *names: str, pair: pki.KeyPair | None = None) -> AsyncIterator[HookServer]:
    """Serve at 127.0.0.1; names: more of what the certificate vouches for. pair: another one."""
    server = HookServer(answer)
    subject = pki.Subject("hook", names=("127.0.0.1", *names))
    pair = pair or authority().issue(subject, datetime.datetime.now(datetime.UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "pair")
        place.write_bytes(pair.certificate + pair.key)
        context.load_cert_chain(place)
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    assert isinstance(site._server, asyncio.Server)
    server.port = site._server.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await runner.cleanup()


def json_patch(*operations: dict[str, Any]) -> dict[str, Any]:
    """An answer that allows and patches."""
    patch = base64.b64encode(orjson.dumps(list(operations))).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": patch}
