"""A Node is registered whatever becomes of the connection, and a dead runtime is told soon."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from nanokube.api import facts, resources
from nanokube.api.objects import Object
from nanokube.api.patch import strategic
from nanokube.client import events
from nanokube.client.fake import FakeClient
from nanokube.kubelet.config import KubeletConfig
from nanokube.kubelet.fake import FakeRuntime
from nanokube.kubelet.node import register
from nanokube.kubelet.runtime import FaultKind, RuntimeFault

NODES = resources.get("nodes")


class SilentOnce(FakeClient):
    """A server whose first answer never comes."""

    silent = True

    async def create(
        self,
        resource: resources.Resource,
        obj: Object,
        namespace: str = "",
        *,
        subresource: str = "",
        name: str = "",
    ) -> dict[str, Any]:
        if self.silent:
            self.silent = False
            await asyncio.Event().wait()
        return await super().create(resource, obj, namespace, subresource=subresource, name=name)


def reporter(
    client: FakeClient, runtime: FakeRuntime, root: Path, node_ip: str = "192.0.2.10"
) -> register.NodeReporter:
    config = KubeletConfig(node_name="n1", node_ip=node_ip, cri_socket=root / "s", root=root)
    return register.NodeReporter(config, client, runtime, events.EventRecorder(client, "kubelet"))


async def test_an_answer_that_never_comes_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register, "ATTEMPT_S", 0.05)
    monkeypatch.setattr(register, "RETRY_S", 0.01)
    client = SilentOnce()
    async with asyncio.timeout(5):
        await reporter(client, FakeRuntime(time.time), tmp_path).register()
    assert client.read(NODES, "n1") is not None


async def test_a_dead_runtime_is_asked_once_before_it_is_told(tmp_path: Path) -> None:
    client, runtime = FakeClient(), FakeRuntime(time.time)
    asked: list[str] = []

    async def dead(call: str) -> Any:
        asked.append(call)
        raise RuntimeFault(FaultKind.UNAVAILABLE, "connection refused")

    runtime.version = lambda: dead("version")  # type: ignore[method-assign]
    runtime.images = lambda: dead("images")  # type: ignore[method-assign]
    await reporter(client, runtime, tmp_path).register()
    node = client.read(NODES, "n1")
    assert node is not None
    ready = next(each for each in node["status"]["conditions"] if each["type"] == "Ready")
    assert (ready["status"], "connection refused" in ready["message"]) == ("False", True)
    assert asked == ["version"]


async def test_the_node_has_an_address_of_each_family(tmp_path: Path) -> None:
    sent: list[Any] = []

    class Client(FakeClient):
        async def patch(self, resource: Any, name: str, body: Any, *args: Any, **more: Any) -> dict[str, Any]:
            sent.append(body)
            return await super().patch(resource, name, body, *args, **more)

    await reporter(Client(), FakeRuntime(time.time), tmp_path, "192.0.2.10,2001:db8::10").register()
    # The API's own rules: by them addresses of one type would be one.
    node = strategic.apply(facts.definition("io.k8s.api.core.v1.Node"), {}, sent[-1])
    internal = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
    assert internal == ["192.0.2.10", "2001:db8::10"]
