"""A whole API server with an extension server behind it, both over real connections on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from nanokube.apiserver.assemble import Server, assemble
from nanokube.apiserver.config import ApiServerConfig
from nanokube.kit import pki
from nanokube.kit.clock import ManualClock
from nanokube.kit.http import server as http
from tests.unit.nanokube.apiserver.aggregator import extension
from tests.unit.nanokube.apiserver.aggregator.extension import Extension
from tests.unit.nanokube.apiserver.conftest import Api, Histories, started_once

NAME = "v1beta1.metrics.k8s.io"
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


class Front:
    """The API server as clients see it. base: its address. jane's token is "secret-token"."""

    def __init__(self, api: Api, base: str, client: aiohttp.ClientSession, behind: Extension) -> None:
        self.api = api
        self.base = base
        self.client = client
        self.behind = behind

    async def register(self, **spec: Any) -> None:
        """Make the Service and its APIService."""
        external = {"type": "ExternalName", "externalName": "localhost"}
        service = {"metadata": {"name": "metrics"}, "spec": external}
        assert (await self.api("POST", "/api/v1/namespaces/kube-system/services", service)).code == 201
        await self.register_only(**spec)

    async def register_only(self, **spec: Any) -> None:
        """Make the APIService."""
        defaults = {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "service": {"namespace": "kube-system", "name": "metrics", "port": self.behind.port},
            "caBundle": extension.bundle(),
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        }
        whole = {k: v for k, v in {**defaults, **spec}.items() if v is not None}
        reply = await self.api("POST", SERVICES, {"metadata": {"name": NAME}, "spec": whole})
        assert reply.code == 201, reply.json

    async def condition(self) -> Any:
        """Return the APIService's condition, if there is one."""
        found = (await self.api("GET", f"{SERVICES}/{NAME}")).json
        return next(iter((found.get("status") or {}).get("conditions") or ()), {})

    async def becomes(self, reason: str) -> Any:
        """Wait for a condition's reason; return the condition."""
        return await eventually(self.condition, lambda found: found.get("reason") == reason)


async def eventually(read: Callable[[], Awaitable[Any]], is_well: Callable[[Any], bool]) -> Any:
    """Read until what is read is well, for 10 s at most."""
    found = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while not is_well(found := await read()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return found
    raise AssertionError(f"never well: {found}")


@pytest.fixture(scope="session")
def proxy_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("front-proxy")
    authority = extension.front_proxy_authority()
    client = authority.issue(pki.Subject("front-proxy-client"), datetime.datetime.now(datetime.UTC))
    (folder / "ca.crt").write_bytes(authority.pair.certificate)
    (folder / "client.crt").write_bytes(client.certificate)
    (folder / "client.key").write_bytes(client.key)
    clients = pki.Authority.create("kubernetes", datetime.datetime.now(datetime.UTC))
    (folder / "clients.crt").write_bytes(clients.pair.certificate)
    return folder


@pytest.fixture
async def front(keys: Path, proxy_keys: Path, histories: Histories) -> AsyncIterator[Front]:
    nowhere = Path("/nonexistent")
    config = ApiServerConfig(
        advertise_address="192.0.2.1",
        tls_cert=nowhere,
        tls_key=nowhere,
        client_ca=proxy_keys / "clients.crt",
        service_account_public_key=keys / "sa.pub",
        service_account_private_key=keys / "sa.key",
        front_proxy_ca=proxy_keys / "ca.crt",
        front_proxy_cert=proxy_keys / "client.crt",
        front_proxy_key=proxy_keys / "client.key",
        token_file=keys / "tokens.csv",
    )
    store = await started_once(config, histories)
    clock = ManualClock(datetime.datetime.now(datetime.UTC).timestamp())
    parts = await assemble(config, store, clock)
    api = Api(parts, store, clock)
    binding = {
        "metadata": {"name": "jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    assert (await api("POST", path, binding)).code == 201

    async def review(spec: dict[str, Any]) -> bool:
        reply = await api("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
        return bool(reply.json["status"]["allowed"])

    headers = {"Authorization": "Bearer secret-token"}
    async with (
        extension.running(review) as behind,
        http.Server(parts.app.handle, streams_body=parts.app.streams_body) as server,
        aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as client,
        _looked_after(parts),
    ):
        host, port = await server.listen("127.0.0.1", 0)
        yield Front(api, f"http://{host}:{port}", client, behind)
    await parts.close()


@contextlib.asynccontextmanager
async def _looked_after(parts: Server) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in (parts.aggregator, parts.local_services)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def decoded(body: bytes) -> Any:
    return orjson.loads(body)
