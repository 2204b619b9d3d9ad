"""The REST client against a small HTTP server on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from nanokube.api import errors, resources
from nanokube.client import kubeconfig, rest
from nanokube.client.interface import PatchKind
from nanokube.kit import tls

PODS = resources.get("pods")
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
DEPLOYMENTS = resources.get("deployments.apps")


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[rest.Client]:
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        access = kubeconfig.Access(f"http://127.0.0.1:{port}", token="secret")
        async with rest.Client(access) as client:
            yield client
    finally:
        await runner.cleanup()


async def test_requests_go_where_the_api_puts_them() -> None:
    seen: list[str] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        body = (await request.read()).decode()
        seen.append(f"{request.method} {request.path_qs} {request.headers.get('Content-Type', '-')} {body}")
        assert request.headers["Authorization"] == "Bearer secret"
        return web.json_response(
            {"items": [{"metadata": {"name": "a"}}], "metadata": {"resourceVersion": "7"}}
        )

    async with serving(handler) as client:
        listed = await client.list(PODS, "ns", label_selector="a=b", limit=5)
        assert (listed.resource_version, listed.items[0]["kind"]) == ("7", "Pod")
        await client.get(DEPLOYMENTS, "web", "ns", subresource="scale")
        await client.create(PODS, {"target": {"name": "n"}}, "ns", subresource="binding", name="p")
        await client.patch(DEPLOYMENTS, "web", {"x": 1}, "ns", kind=PatchKind.STRATEGIC)
        await client.delete(PODS, "p", "ns", grace_period_s=0, uid="u")
    assert seen == [
        "GET /api/v1/namespaces/ns/pods?labelSelector=a%3Db&limit=5 - ",
        "GET /apis/apps/v1/namespaces/ns/deployments/web/scale - ",
        'POST /api/v1/namespaces/ns/pods/p/binding application/json {"target":{"name":"n"}}',
        'PATCH /apis/apps/v1/namespaces/ns/deployments/web application/strategic-merge-patch+json {"x":1}',
        "DELETE /api/v1/namespaces/ns/pods/p application/json "
        '{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"preconditions":{"uid":"u"}}',
    ]


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (orjson.dumps(errors.not_found(PODS, "p").to_status()), "NotFound", 'pods "p" not found'),
        (b"no such page", "", "no such page"),
    ],
)
async def test_failure_becomes_an_api_error(body: bytes, reason: str, message: str) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(status=404, body=body)

    async with serving(handler) as client:
        with pytest.raises(errors.ApiError) as caught:
            await client.get(PODS, "p", "ns")
    assert (caught.value.code, caught.value.reason, caught.value.message) == (404, reason, message)


async def test_watch_reads_lines_of_any_length_and_raises_the_error_event() -> None:
    big = {"type": "ADDED", "object": {"metadata": {"name": "x" * 3_000_000}}}
    last = {"type": "ERROR", "object": errors.too_old(1, 5).to_status()}

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        line = orjson.dumps(big) + b"\n"
        for start in range(0, len(line), 1_000_001):
            await response.write(line[start : start + 1_000_001])
        await response.write(orjson.dumps(last) + b"\n")
        return response

    async with serving(handler) as client:
        seen = []
        events = client.watch(PODS, resource_version="1")
        seen.append(await anext(events))
        with pytest.raises(errors.ApiError, match="too old resource version"):
            await anext(events)
    assert [event.type for event in seen] == ["ADDED"]


async def test_nobody_there_is_a_connection_error_and_helper_tries_again() -> None:
    attempts = 0

    async def call() -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ConnectionRefusedError("nobody")
        return "there"

    assert await rest.when_reachable(call) == "there"
    with socketless() as access:
        async with rest.Client(access) as client:
            with pytest.raises(OSError):  # noqa: PT011  whichever the platform says
                await client.get(PODS, "p", "ns")


@contextlib.contextmanager
def socketless() -> Iterator[kubeconfig.Access]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield kubeconfig.Access(f"http://127.0.0.1:{unused.getsockname()[1]}")


async def test_connection_cut_in_a_watch_is_an_os_error() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type":"ADDED","object":{"metadata":{}}}\n{"type":')
        assert request.transport is not None
        request.transport.abort()
        await asyncio.sleep(0)
        return response

    async with serving(handler) as client:
        with pytest.raises(OSError):  # noqa: PT011
            async for _ in client.watch(PODS):
                pass


def test_kubeconfig_reads_files_and_data(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"CA")
    (tmp_path / "config").write_text(
        """
current-context: here
contexts: [{name: here, context: {cluster: c, user: u, namespace: web}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443/", certificate-authority: ca.pem}}]
users: [{name: u, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}]
"""
    )
    access = kubeconfig.load(tmp_path / "config")
    assert access.server == "https://127.0.0.1:6443"
    assert (access.ca, access.client_certificate, access.client_key) == (b"CA", b"CERT", b"KEY")
    assert access.namespace == "web"
    assert "KEY" not in repr(access)
    with pytest.raises(kubeconfig.KubeconfigError, match="no entry 'there' in contexts"):
        kubeconfig.load(tmp_path / "config", context="there")


async def test_new_credentials_serve_new_requests_and_old_requests_end_in_peace() -> None:
    seen: list[str] = []
    begun, release = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers["Authorization"])
        if request.path.endswith("slow"):
            begun.set()
            await release.wait()
        return web.json_response({"metadata": {"name": "x"}})

    async with serving(handler) as client, asyncio.TaskGroup() as group:
        under_way = group.create_task(client.get(PODS, "slow", "ns"))
        await begun.wait()
        await client.become(kubeconfig.Access(client.server, token="fresh"))
        await client.get(PODS, "quick", "ns")
        release.set()
        assert (await under_way)["metadata"]["name"] == "x"
    assert seen == ["Bearer secret", "Bearer fresh"]


async def test_a_kubeconfig_that_changes_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "SETTLE_S", 0.01)
    seen: list[str] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"metadata": {"name": "x"}})

    def write(token: str, server: str) -> None:
        cluster, user = {"cluster": {"server": server}, "name": "c"}, {"user": {"token": token}, "name": "u"}
        context = {"context": {"cluster": "c", "user": "u"}, "name": "x"}
        document = {"clusters": [cluster], "users": [user], "contexts": [context], "current-context": "x"}
        (tmp_path / "conf").write_bytes(orjson.dumps(document))

    async with serving(handler) as client, asyncio.TaskGroup() as group:
        write("secret", client.server)
        following = group.create_task(client.follow(tmp_path / "conf"))
        await asyncio.sleep(0.05)
        write("fresh", client.server)
        while "Bearer fresh" not in seen:
            await client.get(PODS, "x", "ns")
            await asyncio.sleep(0.02)
        following.cancel()
