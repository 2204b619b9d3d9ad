"""Which Services and EndpointSlices the proxy follows."""

import asyncio
from typing import Any

import pytest

from cri.linux import nftables
from nanokube.api import resources
from nanokube.client import informer
from nanokube.client.fake import FakeClient
from nanokube.proxy import run

SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "clusterIP": "10.96.0.7",
        "clusterIPs": ["10.96.0.7"],
        "ports": [{"port": 80, "protocol": "TCP"}],
    },
}
SLICE: dict[str, Any] = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.244.0.9"], "conditions": {"ready": True}}],
    "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
}


def labelled(obj: dict[str, Any], name: str) -> dict[str, Any]:
    meta = obj["metadata"]
    return {**obj, "metadata": {**meta, "labels": {**meta.get("labels", {}), name: ""}}}


async def rules(*objs: dict[str, Any]) -> str:
    """Let a proxy see these; give what it wrote first."""
    client = FakeClient(*objs)
    services = informer.Informer(client, resources.get("services"))
    slices = informer.Informer(client, resources.get("endpointslices.discovery.k8s.io"))
    slices.add_index(run.SERVICE_INDEX, run.index_of_slice)
    written: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def nft(text: str) -> str:
        loop.call_soon_threadsafe(written.put_nowait, text)
        return ""

    proxy = run.Proxy(services, slices, "n1", nft=nft)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in (services, slices, proxy)]
        text = await written.get()
        for task in tasks:
            task.cancel()
    return text


async def test_a_service_leads_to_its_endpoints() -> None:
    text = await rules(SERVICE, SLICE)
    assert "10.96.0.7" in text
    assert "10.244.0.9" in text


@pytest.mark.parametrize("label", [run.PROXY_NAME_LABEL, run.HEADLESS_LABEL])
async def test_what_is_for_others_is_left_alone(label: str) -> None:
    assert "10.96.0.7" not in await rules(labelled(SERVICE, label), SLICE)
    assert "10.244.0.9" not in await rules(SERVICE, labelled(SLICE, label))


@pytest.mark.parametrize("refused", [{1}, {1, 2}, {2}, {2, 3}, {2, 3, 4}], ids=str)
async def test_refused_tables_are_written_again_rather_than_end_the_node_agent(refused: set[int]) -> None:
    client = FakeClient(SERVICE, SLICE)
    services = informer.Informer(client, resources.get("services"))
    slices = informer.Informer(client, resources.get("endpointslices.discovery.k8s.io"))
    slices.add_index(run.SERVICE_INDEX, run.index_of_slice)
    calls = 0
    written: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def nft(commands: str) -> str:
        nonlocal calls
        calls += 1
        if calls in refused:
            raise nftables.NftablesError("no buffer space available")
        loop.call_soon_threadsafe(written.put_nowait, commands)
        return ""

    proxy = run.Proxy(services, slices, "n", nft=nft, flush=lambda _stale: 0)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        running = [group.create_task(each) for each in (services.run(), slices.run(), proxy.run())]
        assert "10.244.0.9" in await written.get()
        client.put({**SLICE, "endpoints": [{"addresses": ["10.244.0.10"], "conditions": {"ready": True}}]})
        assert "10.244.0.10" in await written.get()
        for each in running:
            each.cancel()


@pytest.mark.parametrize("labels", [{}, {"labels": None}, {"labels": {}}], ids=str)
def test_slice_without_labels_belongs_to_no_service(labels: dict[str, Any]) -> None:
    assert run.index_of_slice({"metadata": {"name": "a", "namespace": "default", **labels}}) == []
