"""The scheduler on a fake server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from nanokube.api import objects, resources
from nanokube.client import events, fake
from nanokube.kit import clock, virtual_time
from nanokube.scheduler import run

PODS = resources.get("pods")
NO_ROOM = (
    "0/1 nodes are available: 1 Insufficient cpu. "
    "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
)
NODES = resources.get("nodes")


def node(name: str, cpu: str = "1") -> dict[str, Any]:
    status = {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}


def pod(name: str, cpu: str = "100m", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    meta = {"name": name, "namespace": "ns"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container], **spec}}


@contextlib.asynccontextmanager
async def running(client: fake.FakeClient) -> AsyncIterator[events.ListRecorder]:
    recorder = events.ListRecorder()
    async with asyncio.TaskGroup() as group:
        scheduler = run.Scheduler(client, recorder, time=clock.LoopClock(), seed=1)
        task = group.create_task(scheduler.run())
        yield recorder
        task.cancel()


def placed(client: fake.FakeClient, name: str) -> str:
    found = client.read(PODS, f"ns/{name}")
    assert found is not None
    return str(objects.spec(found).get("nodeName", ""))


def test_pod_is_bound_and_told_of() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(node("n"))
        async with running(client) as recorder:
            await virtual_time.settle()
            await client.create(PODS, pod("p"))
            await virtual_time.settle()
            assert placed(client, "p") == "n"  # and no time has passed
            assert asyncio.get_running_loop().time() == 0
            assert recorder.lines == ["Normal Scheduled Successfully assigned ns/p to n"]

    virtual_time.run(scenario())


def test_burst_counts_pods_whose_binding_is_still_under_way() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(node("n"), *(pod(f"p{number}", "400m") for number in range(4)))
        async with running(client) as recorder:
            await asyncio.sleep(0.5)
            assert sum(bool(placed(client, f"p{number}")) for number in range(4)) == 2
            assert f"Warning FailedScheduling {NO_ROOM}" in recorder.lines

    virtual_time.run(scenario())


def test_unschedulable_pod_says_so_once_and_goes_when_room_appears() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(node("n"), pod("big", "900m", nodeName="n"), pod("p", "500m"))
        async with running(client):
            await asyncio.sleep(5)
            found = client.read(PODS, "ns/p")
            assert found is not None
            condition = objects.condition(found, "PodScheduled")
            assert condition is not None
            assert (condition["status"], condition["reason"], condition["message"]) == (
                "False",
                "Unschedulable",
                NO_ROOM,
            )
            assert sum("/status" in line for line in client.requests) == 1
            client.remove(PODS, "ns/big")
            await asyncio.sleep(1)
            assert placed(client, "p") == "n"

    virtual_time.run(scenario())


def test_new_node_takes_waiting_pods_and_other_schedulers_pods_are_left() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(pod("p"), pod("q", schedulerName="other"))
        async with running(client):
            await asyncio.sleep(2)
            client.put(node("n"))
            await asyncio.sleep(2)
            assert (placed(client, "p"), placed(client, "q")) == ("n", "")

    virtual_time.run(scenario())


def test_failed_binding_is_tried_again_and_holds_nothing() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(node("n"))
        client.fail_next("create", PODS, ConnectionError("gone"))
        client.put(pod("p", "800m"))
        async with running(client):
            await asyncio.sleep(3)
            assert placed(client, "p") == "n"

    virtual_time.run(scenario())


def test_server_restart_is_survived_within_a_second() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(node("n"))
        async with running(client):
            await virtual_time.settle()
            client.disconnect()
            await client.create(PODS, pod("p"))
            await asyncio.sleep(1)
            assert placed(client, "p") == "n"

    virtual_time.run(scenario())


def test_lower_pod_makes_way_and_its_room_is_kept() -> None:
    async def scenario() -> None:
        old = pod("low", "800m", nodeName="n", priority=1)
        old["metadata"]["generation"] = 3
        client = fake.FakeClient(node("n"), old)
        async with running(client) as recorder:
            await asyncio.sleep(0.1)
            await client.create(PODS, pod("high", "800m", priority=10))
            await asyncio.sleep(1)
            high, low = client.read(PODS, "ns/high"), client.read(PODS, "ns/low")
            assert high is not None
            assert low is not None
            assert objects.status(high)["nominatedNodeName"] == "n"
            assert objects.is_deleting(low)
            condition = objects.condition(low, "DisruptionTarget") or {}
            assert condition["reason"] == "PreemptionByScheduler"
            assert condition["observedGeneration"] == 3
            assert condition["message"] == (
                "default-scheduler: preempting to accommodate a higher priority pod"
            )
            assert f"Normal Preempted Preempted by pod {objects.uid(high)} on node n" in recorder.lines
            await client.create(PODS, pod("later", "800m", priority=5))
            await asyncio.sleep(1)
            client.remove(PODS, "ns/low")
            await asyncio.sleep(15)
            assert [placed(client, name) for name in ("high", "later")] == ["n", ""]
            assert sum(line.startswith("delete pods") for line in client.requests) == 1

    virtual_time.run(scenario())


def test_who_never_preempts_waits() -> None:
    async def scenario() -> None:
        low = pod("low", "800m", nodeName="n", priority=1)
        high = pod("high", "800m", priority=10, preemptionPolicy="Never")
        client = fake.FakeClient(node("n"), low, high)
        async with running(client) as recorder:
            await asyncio.sleep(5)
            assert placed(client, "high") == ""
            assert "preemption: not eligible due to preemptionPolicy=Never." in recorder.lines[0]
            assert not any(line.startswith("delete") for line in client.requests)

    virtual_time.run(scenario())


def test_pods_of_a_service_are_spread() -> None:
    async def scenario() -> None:
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "s", "namespace": "ns"},
            "spec": {"selector": {"app": "web"}},
        }
        client = fake.FakeClient(node("a", "9"), node("b", "9"), service)
        for name in ("a", "b"):
            found = node(name, "9")
            found["metadata"]["labels"] = {"kubernetes.io/hostname": name}
            client.put(found)
        async with running(client):
            await asyncio.sleep(0.1)
            for number in range(4):
                created = pod(f"p{number}", "0")
                created["metadata"]["labels"] = {"app": "web"}
                await client.create(PODS, created)
                await asyncio.sleep(0.1)
            assert sorted(placed(client, f"p{number}") for number in range(4)) == ["a", "a", "b", "b"]

    virtual_time.run(scenario())
