"""POSTs to webhooks: where to, whom to believe, and what is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from nanokube.apiserver.outgoing import client as outgoing
from nanokube.apiserver.outgoing import target
from nanokube.apiserver.outgoing.client import CallFailed, Client
from nanokube.apiserver.outgoing.target import CannotReach
from tests.unit.nanokube.apiserver import hookserver
from tests.unit.nanokube.apiserver.hookserver import serving


def nowhere(namespace: str, name: str, port: int) -> list[tuple[str, int]]:
    raise CannotReach(f'services "{name}" not found')


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    found = Client(nowhere)
    yield found
    await found.close()


async def test_an_answer_by_url(client: Client) -> None:
    async with serving(lambda r: b"fine") as server:
        assert await client.post(server.config, b"{}", 1.5) == b"fine"
        assert server.paths == ["/hook?timeout=2s"]


async def test_connections_are_kept(client: Client) -> None:
    async with serving(lambda r: b"fine") as server:
        for _ in range(3):
            await client.post(server.config, b"{}", 1)
        assert server.connections == 1


async def test_a_kept_connection_that_was_closed_is_no_failure(client: Client) -> None:
    async with serving(lambda r: b"fine") as server:
        await client.post(server.config, b"{}", 1)
        server.drops = 1
        assert await client.post(server.config, b"{}", 1) == b"fine"
        server.drops = 2
        with pytest.raises(CallFailed):
            await client.post(server.config, b"{}", 1)


async def test_a_service_is_called_by_its_name_at_its_endpoint() -> None:
    asked = []

    def endpoints(namespace: str, name: str, port: int) -> list[tuple[str, int]]:
        asked.append((namespace, name, port))
        return [("127.0.0.1", server.port)]

    client = Client(endpoints)
    async with serving(lambda r: b"fine", "hook.default.svc") as server:
        service = {"namespace": "default", "name": "hook", "path": "/a", "port": 8443}
        assert await client.post({"service": service, "caBundle": server.bundle}, b"{}", 1) == b"fine"
        other = {"namespace": "default", "name": "other"}
        with pytest.raises(CallFailed, match="certificate"):
            await client.post({"service": other, "caBundle": server.bundle}, b"{}", 1)
    assert asked == [("default", "hook", 8443), ("default", "other", 443)]
    await client.close()


async def test_without_the_bundle_nobody_is_believed(client: Client) -> None:
    async with serving(lambda r: b"fine") as server:
        with pytest.raises(CallFailed, match=r"x509.*self-signed|unable to get local issuer"):
            await client.post({"url": server.config["url"]}, b"{}", 1)
        assert server.requests == []


async def test_a_slow_one_ends_in_time(client: Client) -> None:
    async def slow() -> bytes:
        await asyncio.sleep(20)
        return b""

    async with serving(lambda r: slow()) as server:
        with pytest.raises(CallFailed, match="context deadline exceeded") as failed:
            await client.post(server.config, b"{}", 0.1)
        assert failed.value.is_timeout


async def test_a_trickle_ends_in_time(client: Client) -> None:
    class Trickle(web.StreamResponse):
        async def write_eof(self, data: bytes = b"") -> None:
            while True:
                await self.write(b" ")
                await asyncio.sleep(0.01)

    async with serving(lambda r: Trickle()) as server:
        with pytest.raises(CallFailed, match="context deadline exceeded"):
            await client.post(server.config, b"{}", 0.2)


async def test_a_huge_answer_is_cut(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MAX_ANSWER_BYTES", 1 << 16)
    async with serving(lambda r: b"x" * (1 << 20)) as server:
        with pytest.raises(CallFailed, match="longer than 65536 bytes"):
            await client.post(server.config, b"{}", 5)


@pytest.mark.parametrize(
    ("answer", "words", "code"),
    [
        (web.Response(status=404), "could not find the requested resource", 404),
        (web.Response(status=302, headers={"Location": "https://127.0.0.1:1/"}), "redirects", 500),
        (web.Response(status=500, body=b"oops"), "an error on the server", 500),
        (web.json_response({"kind": "Status", "message": "gone", "code": 410}, status=410), "gone", 410),
    ],
)
async def test_other_answers(client: Client, answer: web.Response, words: str, code: int) -> None:
    async with serving(lambda r: answer) as server:
        with pytest.raises(CallFailed, match=words) as failed:
            await client.post(server.config, b"{}", 1)
        assert failed.value.code == code


async def test_nobody_there(client: Client) -> None:
    async with serving(lambda r: b"") as server:
        config = server.config
    with pytest.raises(CallFailed, match=r"dial tcp 127.0.0.1:\d+: connect: connection refused"):
        await client.post(config, b"{}", 1)
    with pytest.raises(CallFailed, match='services "x" not found'):
        await client.post({"service": {"namespace": "default", "name": "x"}}, b"{}", 1)
    with pytest.raises(CallFailed, match="either service or URL"):
        await client.post({}, b"{}", 1)


def _service(**spec: Any) -> dict[str, Any]:
    return {"spec": {"type": "ClusterIP", "ports": [{"name": "web", "port": 443}], **spec}}


def _slice(*endpoints: dict[str, Any], name: str = "web", port: int = 8443) -> dict[str, Any]:
    return {"ports": [{"name": name, "port": port}], "endpoints": list(endpoints)}


def test_endpoints_are_the_ready_ones_of_the_port() -> None:
    ready = {"addresses": ["10.1.0.1"], "conditions": {"ready": True}}
    unready = {"addresses": ["10.1.0.2"], "conditions": {"ready": False}}
    slices = [_slice(ready, unready), _slice({"addresses": ["10.1.0.3"]}, name="other")]
    assert target.endpoints(_service(), slices, "ns", "hook", 443) == [("10.1.0.1", 8443)]
    external = _service(type="ExternalName", externalName="hooks.example")
    assert target.endpoints(external, [], "ns", "hook", 443) == [("hooks.example", 443)]


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (None, 'services "hook" not found'),
        (_service(), 'no endpoints available for service "hook"'),
        (_service(ports=[]), 'no service port 443 found for service "hook"'),
    ],
)
def test_a_service_without_endpoints(service: Any, words: str) -> None:
    with pytest.raises(CannotReach, match=words):
        target.endpoints(service, [], "ns", "hook", 443)


def test_one_authority_one_context() -> None:
    pem = hookserver.authority().pair.certificate.decode()
    assert outgoing.authority(pem) is outgoing.authority(pem)
