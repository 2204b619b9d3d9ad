"""An extension server of our own: metrics.k8s.io, behind the front proxy, on loopback.

It believes only who shows a certificate of the front proxies' authority, takes the user from header fields,
and asks whether that user may, as servers made with the Kubernetes library do.
"""

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

HOST = "metrics.kube-system.svc"
Review = Callable[[dict[str, Any]], Awaitable[bool]]
_RESOURCE = {
    "name": "nodes",
    "singularName": "node",
    "namespaced": False,
    "kind": "NodeMetrics",
    "verbs": ["get", "list"],
}


@functools.cache
def serving_authority() -> pki.Authority:
    return pki.Authority.create("extension", datetime.datetime.now(datetime.UTC))


@functools.cache
def front_proxy_authority() -> pki.Authority:
    return pki.Authority.create("front-proxy-ca", datetime.datetime.now(datetime.UTC))


def bundle() -> str:
    return base64.b64encode(serving_authority().pair.certificate).decode()


class Extension:
    """review: told attributes of a SubjectAccessReview's spec, says whether they are allowed."""

    def __init__(self, review: Review) -> None:
        self.review = review
        self.port = 0
        self.is_modern = True  # serves aggregated discovery
        self.is_ill = False
        self.requests: list[web.Request] = []
        self.peers: set[object] = set()
        self.body = b""
        self.sent = 0
        self.changes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.gone = asyncio.Event()  # a watch, or a request that takes for ever, was left
        self.has_openapi = True
        self.has_version_3 = True
        self.definition: Any = {"type": "object"}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.transport is not None:
            self.peers.add(request.transport.get_extra_info("peername"))
        if self.is_ill:
            return web.Response(status=500)
        path = request.path
        if path == "/apis":
            return self._groups()
        if path == "/apis/metrics.k8s.io/v1beta1":
            listed = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1"}
            return web.json_response({**listed, "resources": [_RESOURCE]})
        if path.startswith("/openapi/"):
            return self._openapi(path)
        return await self._resource(request)

    def _groups(self) -> web.Response:
        if not self.is_modern:
            return web.json_response({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
        resource = {
            "resource": "nodes",
            "responseKind": {"group": "", "version": "", "kind": "NodeMetrics"},
            "scope": "Cluster",
            "singularResource": "node",
            "verbs": ["get", "list"],
        }
        versions = [{"version": "v1beta1", "resources": [resource], "freshness": "Current"}]
        items = [{"metadata": {"name": "metrics.k8s.io"}, "versions": versions}]
        kind = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2"}
        body = orjson.dumps({**kind, "items": items})
        form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        return web.Response(body=body, headers={"Content-Type": form})

    def _openapi(self, path: str) -> web.Response:
        if not self.has_openapi or (not self.has_version_3 and path.startswith("/openapi/v3")):
            return web.Response(status=404)
        key = "apis/metrics.k8s.io/v1beta1"
        if path == "/openapi/v3":
            return web.json_response({"paths": {key: {"serverRelativeURL": f"/openapi/v3/{key}?hash=1"}}})
        if path == "/openapi/v2":
            kind = {"group": "metrics.k8s.io", "version": "v1beta1", "kind": "NodeMetrics"}
            definition = {**self.definition, "x-kubernetes-group-version-kind": [kind]}
            paths: dict[str, Any] = {"/apis/metrics.k8s.io/v1beta1/nodes": {}, "/apis/apps/v1/stolen": {}}
            return web.json_response(
                {"swagger": "2.0", "paths": paths, "definitions": {"metrics.NodeMetrics": definition}}
            )
        return web.json_response({"openapi": "3.0.0"})

    async def _resource(self, request: web.Request) -> web.StreamResponse:
        user = request.headers.get("X-Remote-User", "")
        spec = {
            "user": user,
            "groups": request.headers.getall("X-Remote-Group", []),
            "resourceAttributes": {"group": "metrics.k8s.io", "resource": "nodes", "verb": "list"},
        }
        if not await self.review(spec):
            return web.json_response(
                {"kind": "Status", "code": 403, "message": f"not you: {user}"}, status=403
            )
        if request.headers.get("Upgrade") == "websocket":
            return await self._echo(request)
        if request.query.get("watch"):
            return await self._watch(request)
        if request.path.endswith("/slow"):
            try:
                await asyncio.sleep(3600)
            finally:
                self.gone.set()
        if request.path.endswith("/long"):
            return await self._long(request)
        if request.path.endswith("/moved"):
            return web.Response(status=302, headers={"Location": "https://198.51.100.1/"})
        if request.path.endswith("/again"):
            return web.Response(status=200, headers={"X-Two": "a", "Warning": '299 - "old"'}, text="again")
        if request.method in ("POST", "PUT"):
            self.body = await request.read()
            return web.json_response({"size": len(self.body)}, status=201)
        return web.json_response({"kind": "NodeMetricsList", "user": user, "items": []})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        try:
            while True:
                await answer.write(orjson.dumps(await self.changes.get()) + b"\n")
        finally:
            self.gone.set()

    async def _long(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(bytes(1 << 16))
            self.sent += 1 << 16

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data.upper())
        return socket


@contextlib.asynccontextmanager
async def running(review: Review, name: str = HOST) -> AsyncIterator[Extension]:
    """Run an extension server whose certificate is for a name."""
    extension = Extension(review)
    now = datetime.datetime.now(datetime.UTC)
    pair = serving_authority().issue(pki.Subject("metrics", names=(name,)), now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pair.pem"
        place.write_bytes(pair.certificate + pair.key)
        context.load_cert_chain(place)
    context.load_verify_locations(cadata=front_proxy_authority().pair.certificate.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application(client_max_size=1 << 28)
    app.router.add_route("*", "/{path:.*}", extension.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    assert isinstance(site._server, asyncio.Server)
    extension.port = site._server.sockets[0].getsockname()[1]
    try:
        yield extension
    finally:
        await runner.cleanup()
