"""StatefulSets, told as stories in virtual time."""

import asyncio
from typing import Any

from nanokube.api import objects, resources
from nanokube.controllers import history, statefulset
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import PODS, Stage, template

STATEFULSETS = resources.get("statefulsets.apps")
CLAIMS = resources.get("persistentvolumeclaims")


def a_set(replicas: int = 3, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "s", "namespace": "ns"},
        "spec": {
            "replicas": replicas,
            "serviceName": "svc",
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(nodeName="n"),
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            **spec,
        },
    }


class Sets(Stage):
    """A stage with one StatefulSet."""

    def __init__(self) -> None:
        super().__init__(statefulset.StatefulSetController)

    def images(self) -> list[str]:
        """Give each Pod's ordinal and image in order; "-" after one that is being deleted."""
        return [
            objects.name(pod)[2:]
            + pod["spec"]["containers"][0]["image"]
            + ("-" if objects.is_deleting(pod) else "")
            for pod in sorted(self.client.all(PODS), key=objects.name)
        ]

    async def ready_next(self) -> None:
        self.all_ready()
        await asyncio.sleep(0.1)

    async def patch(self, **spec: Any) -> None:
        await self.client.patch(STATEFULSETS, "s", {"spec": spec}, "ns")
        await asyncio.sleep(0.1)

    async def set_image(self, image: str) -> None:
        await self.patch(template=template(image=image, nodeName="n"))

    async def end_deleted(self) -> list[str]:
        deleted = [objects.name(pod) for pod in self.client.all(PODS) if objects.is_deleting(pod)]
        for name in deleted:
            self.gone(name)
        await asyncio.sleep(0.1)
        return deleted

    def count(self, field: str) -> int:
        return int(self.status(STATEFULSETS, "ns/s").get(field, 0))


def test_pods_come_in_order_and_go_in_reverse() -> None:
    async def story() -> None:
        stage = Sets()
        async with stage.running():
            await stage.client.create(STATEFULSETS, a_set())
            await asyncio.sleep(5)
            assert stage.names() == ["s-0"]
            await stage.ready_next()
            assert stage.names() == ["s-0", "s-1"]
            await stage.ready_next()
            await stage.ready_next()
            assert stage.names() == ["s-0", "s-1", "s-2"]
            assert [stage.count(f) for f in ("replicas", "readyReplicas", "currentReplicas")] == [3, 3, 3]
            pod = stage.pods()[1]
            assert objects.labels(pod)["statefulset.kubernetes.io/pod-name"] == "s-1"
            assert objects.labels(pod)["apps.kubernetes.io/pod-index"] == "1"
            assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("s-1", "svc")
            await stage.patch(replicas=1)
            assert await stage.end_deleted() == ["s-2"]
            assert await stage.end_deleted() == ["s-1"]
            assert await stage.end_deleted() == []
            assert stage.names() == ["s-0"]

    virtual_time.run(story())


def test_scaling_halts_while_a_pod_is_unwell() -> None:
    async def story() -> None:
        stage = Sets()
        async with stage.running():
            await stage.client.create(STATEFULSETS, a_set(2))
            await asyncio.sleep(0.1)
            await stage.ready_next()
            await stage.ready_next()
            stage.ready("s-0", ready=False)
            await stage.patch(replicas=3)
            await asyncio.sleep(20)
            assert stage.names() == ["s-0", "s-1"]
            await stage.patch(replicas=1)
            await asyncio.sleep(20)
            assert await stage.end_deleted() == []
            await stage.ready_next()
            assert await stage.end_deleted() == ["s-1"]

    virtual_time.run(story())


def test_parallel_waits_for_nobody() -> None:
    async def story() -> None:
        stage = Sets()
        async with stage.running():
            shape: dict[str, Any] = {"podManagementPolicy": "Parallel", "ordinals": {"start": 5}}
            await stage.client.create(STATEFULSETS, a_set(**shape))
            await asyncio.sleep(0.1)
            assert stage.names() == ["s-5", "s-6", "s-7"]
            await stage.patch(replicas=1)
            assert await stage.end_deleted() == ["s-6", "s-7"]

    virtual_time.run(story())


def test_update_goes_down_from_the_highest_and_back_to_the_old_revision() -> None:
    async def story() -> None:
        stage = Sets()
        async with stage.running():
            await stage.client.create(STATEFULSETS, a_set())
            for _ in range(4):
                await asyncio.sleep(0.1)
                await stage.ready_next()
            old = stage.status(STATEFULSETS, "ns/s")["currentRevision"]
            await stage.set_image("v2")
            assert stage.images() == ["0v1", "1v1", "2v1-"]
            await stage.end_deleted()
            assert stage.images() == ["0v1", "1v1", "2v2"]
            await stage.ready_next()
            assert stage.images() == ["0v1", "1v1-", "2v2"]
            assert [stage.count(f) for f in ("currentReplicas", "updatedReplicas")] == [1, 1]
            for _ in range(3):
                await stage.end_deleted()
                await stage.ready_next()
            assert stage.images() == ["0v2", "1v2", "2v2"]
            status = stage.status(STATEFULSETS, "ns/s")
            assert status["currentRevision"] == status["updateRevision"] != old
            await stage.set_image("v1")
            for _ in range(4):
                await stage.end_deleted()
                await stage.ready_next()
            assert stage.images() == ["0v1", "1v1", "2v1"]
            assert stage.status(STATEFULSETS, "ns/s")["currentRevision"] == old
            assert len(stage.client.all(history.REVISIONS)) == 2

    virtual_time.run(story())


def test_partition_keeps_what_is_below_it_at_the_old_revision() -> None:
    async def story() -> None:
        stage = Sets()
        async with stage.running():
            await stage.client.create(STATEFULSETS, a_set())
            for _ in range(4):
                await asyncio.sleep(0.1)
                await stage.ready_next()
            await stage.patch(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}})
            await stage.set_image("v2")
            for _ in range(4):
                await stage.end_deleted()
                await stage.ready_next()
            assert stage.images() == ["0v1", "1v1", "2v2"]
            stage.client.remove(PODS, "ns/s-0")
            stage.client.remove(PODS, "ns/s-2")
            for _ in range(3):
                await asyncio.sleep(0.1)
                await stage.ready_next()
            assert stage.images() == ["0v1", "1v1", "2v2"]

    virtual_time.run(story())


def test_failed_pod_is_made_anew_under_its_name() -> None:
    async def story() -> None:
        stage = Sets()
        async with stage.running():
            await stage.client.create(STATEFULSETS, a_set(1))
            await asyncio.sleep(0.1)
            before = objects.uid(stage.pods()[0])
            stage.end("s-0", 1)
            await asyncio.sleep(0.1)
            assert stage.names() == ["s-0"]
            assert objects.uid(stage.pods()[0]) != before

    virtual_time.run(story())


def test_claims_are_made_once_and_kept_or_let_go_by_policy() -> None:
    async def story() -> None:
        stage = Sets()
        async with stage.running():
            claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
            policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
            shape: dict[str, Any] = {"volumeClaimTemplates": [claim], "podManagementPolicy": "Parallel"}
            await stage.client.create(
                STATEFULSETS, a_set(2, **shape, persistentVolumeClaimRetentionPolicy=policy)
            )
            await asyncio.sleep(0.1)
            found = stage.client.all(CLAIMS)
            assert [objects.name(each) for each in found] == ["data-s-0", "data-s-1"]
            assert objects.labels(found[0]) == {"app": "web"}
            volumes = stage.pods()[0]["spec"]["volumes"]
            assert volumes == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-s-0"}}]
            await stage.ready_next()
            owners = [objects.owner_references(each)[0]["kind"] for each in stage.client.all(CLAIMS)]
            assert owners == ["StatefulSet", "StatefulSet"]
            await stage.patch(replicas=1)
            owners = [objects.owner_references(each)[0]["kind"] for each in stage.client.all(CLAIMS)]
            assert owners == ["StatefulSet", "Pod"]
            created = [
                line for line in stage.client.requests if line.startswith("create persistentvolumeclaims")
            ]
            assert len(created) == 2

    virtual_time.run(story())


def test_minimum_ready_time_is_waited_for() -> None:
    async def story() -> None:
        stage = Sets()
        async with stage.running():
            await stage.client.create(STATEFULSETS, a_set(2, minReadySeconds=10))
            await asyncio.sleep(0.1)
            await stage.ready_next()
            assert stage.names() == ["s-0"]
            await asyncio.sleep(11)
            assert stage.names() == ["s-0", "s-1"]
            assert stage.count("availableReplicas") == 1

    virtual_time.run(story())
