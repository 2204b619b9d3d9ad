"""Rollouts, told as scenarios: Deployment and ReplicaSet controllers on a fake server, in virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nanokube.api import objects, resources, timestamps
from nanokube.client import events, fake, informer
from nanokube.controllers import deployment, env, replicaset, revisions
from nanokube.kit import clock, virtual_time

DEPLOYMENTS = resources.get("deployments.apps")
REPLICASETS = resources.get("replicasets.apps")
PODS = resources.get("pods")


def web(replicas: int = 3, image: str = "v1", **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": image}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "ns"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }  # fmt: skip


class World:
    """A fake server, the two controllers, and a hand that plays kubelet."""

    def __init__(self) -> None:
        self.clock = clock.LoopClock()
        self.client = fake.FakeClient(time=self.clock)
        self.events = events.ListRecorder()
        self.most = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        shared = env.Env(self.client, informer.Factory(self.client), self.events, self.clock)
        first, second = deployment.DeploymentController(shared), replicaset.ReplicaSetController(shared)
        async with asyncio.TaskGroup() as group:
            runs = (shared.informers.run(), first.run(), second.run())
            tasks = [group.create_task(run) for run in runs]
            yield
            for task in tasks:
                task.cancel()

    def make_ready(self, image: str = "", limit: int = 1000) -> int:
        """Make Pods (of an image) ready; give how many became so."""
        count = 0
        for pod in self.client.all(PODS):
            ready = objects.is_condition_true(pod, "Ready")
            if ready or count >= limit or image not in pod["spec"]["containers"][0]["image"]:
                continue
            stamp = timestamps.format_time(self.clock.time())
            conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": stamp}]
            self.client.put({**pod, "status": {"phase": "Running", "conditions": conditions}})
            count += 1
        return count

    def show(self) -> str:
        """Give each image's Pods, the ready ones after a slash: "v1 3/2, v2 1/0"."""
        self.most = max(self.most, len(self.client.all(PODS)))
        counts: dict[str, list[int]] = {}
        for pod in self.client.all(PODS):
            entry = counts.setdefault(pod["spec"]["containers"][0]["image"], [0, 0])
            entry[0] += 1
            entry[1] += objects.is_condition_true(pod, "Ready")
        return ", ".join(f"{image} {all_}/{ready}" for image, (all_, ready) in sorted(counts.items()))

    def status(self) -> dict[str, Any]:
        found = self.client.read(DEPLOYMENTS, "ns/web")
        assert found is not None
        status: dict[str, Any] = dict(objects.status(found))
        return status

    def reason(self, type_: str) -> str:
        return next((c["reason"] for c in self.status()["conditions"] if c["type"] == type_), "")

    async def set(self, **spec: Any) -> None:
        await self.client.patch(DEPLOYMENTS, "web", {"spec": spec}, "ns")
        await asyncio.sleep(1)

    async def roll_to_end(self) -> list[str]:
        steps = [self.show()]
        for _ in range(20):
            self.make_ready()
            await asyncio.sleep(1)
            if self.show() != steps[-1]:
                steps.append(self.show())
        return steps


def test_deployment_makes_a_replicaset_and_its_pods() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.client.create(DEPLOYMENTS, web())
            await asyncio.sleep(1)
            assert world.show() == "v1 3/0"
            assert (world.reason("Available"), world.reason("Progressing")) == (
                "MinimumReplicasUnavailable",
                "ReplicaSetUpdated",
            )
            world.make_ready()
            await asyncio.sleep(1)
            status = world.status()
            assert {k: v for k, v in status.items() if k != "conditions"} == {
                "observedGeneration": 1,
                "replicas": 3,
                "updatedReplicas": 3,
                "readyReplicas": 3,
                "availableReplicas": 3,
                "terminatingReplicas": 0,
            }
            assert (world.reason("Available"), world.reason("Progressing")) == (
                "MinimumReplicasAvailable",
                "NewReplicaSetAvailable",
            )
            (replicas,) = world.client.all(REPLICASETS)
            hashed = replicas["metadata"]["labels"][revisions.HASH_LABEL]
            assert objects.name(replicas) == f"web-{hashed}"
            assert objects.annotations(replicas) == {
                revisions.REVISION: "1", revisions.DESIRED: "3", revisions.MAX: "4",
            }  # fmt: skip
            assert (
                world.events.lines[0]
                == f"Normal ScalingReplicaSet Scaled up replica set web-{hashed} from 0 to 3"
            )
            assert sum("SuccessfulCreate" in line for line in world.events.lines) == 3
            before = len(world.client.requests)
            await asyncio.sleep(3600)
            assert len(world.client.requests) == before  # nothing to do: nothing written

    virtual_time.run(scenario())


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "steps", "most"),
    [
        (1, "25%", "25%", ["v1 1/1, v2 1/0", "v2 1/1"], 2),
        (3, 1, 0, ["v1 3/3, v2 1/0", "v1 2/2, v2 2/1", "v1 1/1, v2 3/2", "v2 3/3"], 4),
        (2, 0, 1, ["v1 1/1, v2 1/0", "v2 2/1", "v2 2/2"], 2),
        (4, "100%", 0, ["v1 4/4, v2 4/0", "v2 4/4"], 8),
    ],
)
def test_rolling_update_keeps_its_bounds(
    replicas: int, surge: int | str, unavailable: int | str, steps: list[str], most: int
) -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            bounds = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
            await world.client.create(
                DEPLOYMENTS, web(replicas, strategy={"type": "RollingUpdate", **bounds})
            )
            await asyncio.sleep(1)
            await world.roll_to_end()
            await world.set(template=web(image="v2")["spec"]["template"])
            assert await world.roll_to_end() == steps
            assert world.most == most
            assert world.status()["updatedReplicas"] == replicas
            assert world.status()["observedGeneration"] == 2

    virtual_time.run(scenario())


def test_recreate_waits_until_every_old_pod_is_gone() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.client.create(DEPLOYMENTS, web(2, strategy={"type": "Recreate"}))
            await asyncio.sleep(1)
            world.make_ready()
            for pod in world.client.all(PODS):
                world.client.put({**pod, "spec": {**pod["spec"], "nodeName": "n"}})
            await world.set(template=web(image="v2")["spec"]["template"])
            assert world.show() == "v1 2/2"  # they terminate gracefully
            for pod in world.client.all(PODS):
                assert objects.is_deleting(pod)
                world.client.remove(PODS, objects.key(pod))
            await asyncio.sleep(1)
            assert world.show() == "v2 2/0"

    virtual_time.run(scenario())


def test_rollback_returns_to_the_old_replicaset_with_a_new_number() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.client.create(DEPLOYMENTS, web(1))
            await asyncio.sleep(1)
            await world.roll_to_end()
            await world.set(template=web(image="v2")["spec"]["template"])
            await world.roll_to_end()
            await world.set(template=web(image="v1")["spec"]["template"])
            assert (await world.roll_to_end())[-1] == "v1 1/1"
            found = {
                rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs
                for rs in world.client.all(REPLICASETS)
            }
            assert objects.annotations(found["v1"])[revisions.REVISION] == "3"
            assert objects.annotations(found["v1"])[revisions.HISTORY] == "1"
            assert objects.annotations(world.client.all(DEPLOYMENTS)[0])[revisions.REVISION] == "3"

    virtual_time.run(scenario())


def test_history_beyond_the_limit_is_dropped() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.client.create(DEPLOYMENTS, web(1, revisionHistoryLimit=1))
            await asyncio.sleep(1)
            for image in ("v1", "v2", "v3", "v4"):
                await world.set(template=web(image=image)["spec"]["template"])
                await world.roll_to_end()
            images = [
                rs["spec"]["template"]["spec"]["containers"][0]["image"]
                for rs in world.client.all(REPLICASETS)
            ]
            assert images == ["v3", "v4"]

    virtual_time.run(scenario())


def test_scaling_during_a_rollout_is_shared_in_proportion() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            bounds = {"maxSurge": 3, "maxUnavailable": 2}
            await world.client.create(
                DEPLOYMENTS, web(10, strategy={"type": "RollingUpdate", "rollingUpdate": bounds})
            )
            await asyncio.sleep(1)
            await world.roll_to_end()
            await world.set(template=web(image="v2")["spec"]["template"])
            assert world.show() == "v1 8/8, v2 5/0"
            await world.set(replicas=30)
            assert (
                world.show() == "v1 20/8, v2 13/0"
            )  # the documentation's own example of proportional scaling

    virtual_time.run(scenario())


def test_paused_deployment_scales_but_does_not_roll() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.client.create(DEPLOYMENTS, web(1))
            await asyncio.sleep(1)
            await world.roll_to_end()
            await world.set(paused=True)
            await world.set(template=web(image="v2")["spec"]["template"], replicas=2)
            assert world.show() == "v1 2/1"
            assert world.reason("Progressing") == "DeploymentPaused"
            await world.set(paused=False)
            assert (await world.roll_to_end())[-1] == "v2 2/2"
            assert world.reason("Progressing") == "NewReplicaSetAvailable"

    virtual_time.run(scenario())


def test_rollout_without_progress_misses_its_deadline() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.client.create(DEPLOYMENTS, web(1, progressDeadlineSeconds=60))
            await asyncio.sleep(50)
            assert world.reason("Progressing") == "ReplicaSetUpdated"
            await asyncio.sleep(15)
            assert world.reason("Progressing") == "ProgressDeadlineExceeded"

    virtual_time.run(scenario())


def test_deleted_pod_is_replaced_and_stranger_released() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.client.create(DEPLOYMENTS, web(2))
            await asyncio.sleep(1)
            first, second = world.client.all(PODS)
            world.client.remove(PODS, objects.key(first))
            second["metadata"]["labels"]["app"] = "other"
            world.client.put(second)
            await asyncio.sleep(1)
            found = world.client.all(PODS)
            assert len(found) == 3
            released = world.client.read(PODS, objects.key(second))
            assert released is not None
            assert not objects.owner_references(released)

    virtual_time.run(scenario())


def test_refused_pods_are_told_and_tried_again_slowly() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            refused = ConnectionError("quota")
            for _ in range(3):
                world.client.fail_next("create", PODS, refused)
            await world.client.create(DEPLOYMENTS, web(4))
            await asyncio.sleep(5)
            assert world.show() == "v1 4/0"
            assert world.reason("ReplicaFailure") == ""
            assert sum("FailedCreate" in line for line in world.events.lines) == 3

    virtual_time.run(scenario())


def test_min_ready_seconds_delay_availability() -> None:
    async def scenario() -> None:
        world = World()
        async with world.running():
            await world.client.create(DEPLOYMENTS, web(1, minReadySeconds=30))
            await asyncio.sleep(1)
            world.make_ready()
            await asyncio.sleep(20)
            assert "availableReplicas" not in world.status()
            await asyncio.sleep(15)
            assert world.status()["availableReplicas"] == 1

    virtual_time.run(scenario())
