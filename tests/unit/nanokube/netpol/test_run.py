"""What is watched and written as policies come and go, and when a Pod may start."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cri.linux import nftables
from nanokube.api import resources
from nanokube.client.fake import FakeClient
from nanokube.netpol import ruleset, run

POLICY: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny", "namespace": "default"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
NAMESPACE: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}


def pod(name: str, *ips: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip} for ip in ips]},
    }


class Kernel:
    """Notes what is written."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.refuses = ""
        self.changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def nft(self, commands: str) -> str:
        if self.refuses and self.refuses in commands:
            self.refuses = ""
            raise nftables.NftablesError("Error: No such file or directory")
        self.written.append(commands)
        self._loop.call_soon_threadsafe(self.changed.set)
        return ""

    async def until(self, text: str) -> str:
        """Wait for commands with this in them; earlier ones are forgotten."""
        async with asyncio.timeout(5):
            while True:
                for index, each in enumerate(self.written):
                    if text in each:
                        del self.written[: index + 1]
                        return each
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def running(*objects: dict[str, Any]) -> AsyncIterator[tuple[run.NetworkPolicies, Kernel, FakeClient]]:
    client, kernel = FakeClient(*objects), Kernel()
    policies = run.NetworkPolicies(client, "n1", nft=kernel.nft)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(policies.run())
        yield policies, kernel, client
        task.cancel()


async def test_without_policies_no_pod_is_watched_and_none_waits() -> None:
    async with running(NAMESPACE, pod("a", "10.244.0.1")) as (policies, kernel, client):
        assert await kernel.until("delete table") == ruleset.remove()
        await policies.attached(pod("b"), ["10.244.0.2"])
        assert kernel.written == []
        await client.create(resources.get(run.POLICIES), POLICY)
        assert "10.244.0.1 : jump" in await kernel.until("hook forward")
        await client.delete(resources.get(run.POLICIES), "deny", "default")
        assert await kernel.until("delete table") == ruleset.remove()


async def test_a_pod_starts_after_its_rules_are_written() -> None:
    async with running(NAMESPACE, POLICY, pod("a")) as (policies, kernel, _client):
        await policies.attached(pod("a"), ["10.244.0.1"])
        assert any("10.244.0.1 : jump" in each for each in kernel.written)
        kernel.written.clear()
        await policies.attached(pod("a"), ["10.244.0.1"])
        assert kernel.written == [], "nor does a container that restarts change anything"


async def test_changes_are_written_as_differences() -> None:
    async with running(NAMESPACE, POLICY, pod("a", "10.244.0.1")) as (_policies, kernel, client):
        await kernel.until("hook forward")
        await client.create(resources.get("pods"), pod("b", "10.244.0.2"))
        written = await kernel.until("10.244.0.2")
        assert "10.244.0.1 " not in written
        assert "table inet nanokube-netpol {" not in written


async def test_what_somebody_removed_is_written_anew() -> None:
    async with running(NAMESPACE, POLICY, pod("a", "10.244.0.1")) as (_policies, kernel, client):
        await kernel.until("hook forward")
        kernel.refuses = "add element"
        await client.create(resources.get("pods"), pod("b", "10.244.0.2"))
        assert "10.244.0.1 : jump" in await kernel.until("hook forward")


async def test_a_refused_table_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "RETRY_S", 0.01)
    async with running(NAMESPACE, pod("a", "10.244.0.1")) as (_policies, kernel, client):
        await kernel.until("delete table")
        kernel.refuses = "hook forward"
        await client.create(resources.get(run.POLICIES), POLICY)
        assert "10.244.0.1 : jump" in await kernel.until("hook forward")


async def test_a_pod_waits_only_once_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "ATTACH_S", 0.01)
    policies = run.NetworkPolicies(FakeClient(), "n1", nft=str)
    async with asyncio.timeout(5):
        monkeypatch.setattr(run, "ATTACH_S", 100)
        on_host = pod("b")
        on_host["spec"]["hostNetwork"] = True
        await policies.attached(on_host, ["192.0.2.1"])
        monkeypatch.setattr(run, "ATTACH_S", 0.01)
        await policies.attached(pod("a"), ["10.244.0.1"])
        monkeypatch.setattr(run, "ATTACH_S", 100)
        await policies.attached(pod("a"), ["10.244.0.1"])
