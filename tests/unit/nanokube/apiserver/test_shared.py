"""Two API servers on one etcd: whoever asks either sees what anyone was told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nanokube.apiserver.assemble import Server, assemble
from nanokube.apiserver.config import ApiServerConfig
from nanokube.kit.clock import ManualClock
from nanokube.storage.etcd import store as etcd_store
from tests.contract.store import etcd
from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

MAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/default/services"


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[etcd.Etcd]:
    with etcd.running(tmp_path_factory.mktemp("etcd")) as member:
        yield member


@pytest.fixture
async def pair(keys: Path, member: etcd.Etcd) -> AsyncIterator[tuple[Api, Api]]:
    nowhere = Path("/nonexistent")
    config = ApiServerConfig(
        advertise_address="192.0.2.1",
        tls_cert=nowhere,
        tls_key=nowhere,
        client_ca=nowhere,
        service_account_public_key=keys / "sa.pub",
        service_account_private_key=keys / "sa.key",
        service_cidr="10.96.0.0/24",
        node_port_range=(30000, 30031),
    )
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(etcd.fresh(member))
        two = await stack.enter_async_context(etcd_store.opened(one.settings))
        servers = [await assemble(config, store, ManualClock()) for store in (one, two)]
        tasks = await stack.enter_async_context(_running(servers))
        clients = [Api(s, store, ManualClock()) for s, store in zip(servers, (one, two), strict=True)]
        account = {"metadata": {"name": "default"}}
        made = await clients[0]("POST", "/api/v1/namespaces/default/serviceaccounts", account)
        assert made.code == 201
        yield clients[0], clients[1]
        for task in tasks:
            task.cancel()
        for server in servers:
            await server.close()


@contextlib.asynccontextmanager
async def _running(servers: list[Server]) -> AsyncIterator[list[asyncio.Task[Any]]]:
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[Any]] = []
        for server in servers:
            assert server.claims is not None
            tasks += [group.create_task(server.claims.run()), group.create_task(server.addresses.run())]
        yield tasks


def config_map(name: str = "m", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_a_read_sees_what_the_other_server_acknowledged(pair: tuple[Api, Api]) -> None:
    one, two = pair
    for i in range(20):
        assert (await one("POST", MAPS, config_map(f"m{i}"))).code == 201
        assert (await two("GET", f"{MAPS}/m{i}")).code == 200
        assert (await two("PUT", f"{MAPS}/m{i}", config_map(f"m{i}", by="two"))).code == 200
        found = (await one("GET", f"{MAPS}?limit=500")).json["items"]
        assert [m.get("data") for m in found if m["metadata"]["name"] == f"m{i}"] == [{"by": "two"}]
        assert (await one("DELETE", f"{MAPS}/m{i}")).code == 200
        assert (await two("GET", f"{MAPS}/m{i}")).code == 404
        assert (await two("POST", MAPS, config_map(f"m{i}"))).code == 201


async def test_a_write_at_the_version_that_the_other_server_gave_is_no_conflict(
    pair: tuple[Api, Api],
) -> None:
    servers = pair
    live = (await servers[0]("POST", MAPS, config_map(n="0"))).json
    for i in range(1, 40):
        live["data"]["n"] = str(i)
        answer = await servers[i % 2]("PUT", f"{MAPS}/m", live)
        assert answer.code == 200, answer.json
        live = answer.json
    assert (await servers[0]("GET", f"{MAPS}/m")).json["data"] == {"n": "39"}


async def test_a_write_that_changes_nothing_here_may_change_what_another_wrote(pair: tuple[Api, Api]) -> None:
    one, two = pair
    await one("POST", MAPS, config_map(n="0"))
    for i in range(20):
        for server, n in ((one, "1"), (two, "0")):
            assert (await server("PUT", f"{MAPS}/m", config_map(n=n))).code == 200
            assert (await one("GET", f"{MAPS}/m")).json["data"] == {"n": n}, i


async def test_no_address_or_port_is_given_twice(pair: tuple[Api, Api]) -> None:
    def service(i: int) -> dict[str, Any]:
        spec = {"type": "NodePort", "ports": [{"port": 80}], "selector": {"a": "b"}}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{i}"}, "spec": spec}

    answers = await asyncio.gather(*(pair[i % 2]("POST", SERVICES, service(i)) for i in range(32)))
    assert [a.json.get("message") for a in answers if a.code != 201] == []  # who was second took the next
    made = [answer.json["spec"] for answer in answers]
    assert len({spec["clusterIP"] for spec in made}) == len(made)
    assert len({spec["ports"][0]["nodePort"] for spec in made}) == len(made)
    fixed = service(99)
    fixed["spec"]["ports"][0]["nodePort"] = made[0]["ports"][0]["nodePort"]
    for server in pair:
        assert (await server("POST", SERVICES, fixed)).code == 422
    for i in range(len(answers)):
        assert (await pair[(i + 1) % 2]("DELETE", f"{SERVICES}/s{i}")).code == 200
    async with asyncio.timeout(10):
        while len(pair[0].server.caches.of("serviceclaims")) > 2:  # kubernetes and kube-dns  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await pair[1]("POST", SERVICES, fixed)).code == 201


async def test_a_quota_is_booked_once_whichever_server_is_asked(pair: tuple[Api, Api]) -> None:
    one, two = pair
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "5"}}}
    await one("POST", "/api/v1/namespaces/default/resourcequotas", quota)
    status = {"metadata": {"name": "q"}, "status": {"hard": {"pods": "5"}, "used": {"pods": "0"}}}
    target = "/api/v1/namespaces/default/resourcequotas/q/status"
    assert (await one("PATCH", target, status, content_type="application/merge-patch+json")).code == 200
    answers = await asyncio.gather(*(pair[i % 2]("POST", PODS, pod(f"p{i}")) for i in range(12)))
    assert sum(answer.code == 201 for answer in answers) == 5, [a.json.get("message") for a in answers]
    assert len((await two("GET", PODS)).json["items"]) == 5


async def test_a_watch_from_the_other_servers_version_has_neither_gap_nor_repetition(
    pair: tuple[Api, Api],
) -> None:
    one, two = pair
    last = (await one("POST", MAPS, config_map("a"))).json["metadata"]["resourceVersion"]
    async with asyncio.TaskGroup() as group:
        stream = await two.watch(f"{MAPS}?watch=1&resourceVersion={last}", group)
        for i in range(10):
            await pair[i % 2]("POST", MAPS, config_map(f"b{i}"))
        await two("GET", MAPS)
        await asyncio.sleep(0.05)
        stream.abort()
    assert [e["object"]["metadata"]["name"] for e in stream.events] == [f"b{i}" for i in range(10)]
