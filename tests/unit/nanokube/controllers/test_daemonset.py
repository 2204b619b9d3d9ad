"""DaemonSets, told as stories in virtual time."""

import asyncio
from typing import Any

import pytest

from nanokube.api import objects, resources
from nanokube.controllers import daemonset, daemonset_pods, history
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import PODS, Stage, template

DAEMONSETS = resources.get("daemonsets.apps")
NODES = resources.get("nodes")


def a_daemonset(image: str = "v1", update: dict[str, Any] | None = None, **pod: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "d", "namespace": "ns"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image=image, **pod),
            "updateStrategy": update or {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "revisionHistoryLimit": 10,
        },
    }


def node(name: str, *, taints: Any = (), **labels: str) -> dict[str, Any]:
    meta = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"taints": list(taints)}}


class Daemons(Stage):
    """A stage with nodes, whose Pods are bound as the scheduler would."""

    def __init__(self, *nodes: str) -> None:
        super().__init__(daemonset.DaemonSetController)
        for name in nodes:
            self.client.put(node(name))

    def run_pods(self) -> None:
        for pod in self.client.all(PODS):
            if not objects.spec(pod).get("nodeName"):
                pod["spec"]["nodeName"] = daemonset_pods.node_of(pod)
                self.client.put(pod)
        self.all_ready()

    def end_deleted(self) -> int:
        deleted = [objects.name(pod) for pod in self.client.all(PODS) if objects.is_deleting(pod)]
        for name in deleted:
            self.gone(name)
        return len(deleted)

    def images(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for pod in self.client.all(PODS):
            image = pod["spec"]["containers"][0]["image"]
            found.setdefault(daemonset_pods.node_of(pod), []).append(image)
        return {name: sorted(images) for name, images in sorted(found.items())}

    def numbers(self) -> list[int]:
        status = self.status(DAEMONSETS, "ns/d")
        fields = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "numberAvailable")
        return [status.get(field, 0) for field in (*fields, "updatedNumberScheduled", "numberMisscheduled")]

    async def set_image(self, image: str) -> None:
        containers = [{"name": "c", "image": image}]
        body = {"spec": {"template": {"spec": {"containers": containers}}}}
        await self.client.patch(DAEMONSETS, "d", body, "ns")
        await asyncio.sleep(0.1)


def test_each_node_that_admits_it_runs_one() -> None:
    async def story() -> None:
        stage = Daemons("a", "b")
        taint = {"key": "t", "effect": "NoSchedule"}
        stage.client.put(node("tainted", taints=[taint]))
        async with stage.running():
            await stage.client.create(DAEMONSETS, a_daemonset())
            await asyncio.sleep(0.1)
            assert stage.images() == {"a": ["v1"], "b": ["v1"]}
            stage.run_pods()
            await asyncio.sleep(0.1)
            assert stage.numbers() == [2, 2, 2, 2, 2, 0]
            tolerated = stage.pods()[0]["spec"]["tolerations"]
            assert [each["key"].rpartition("/")[2] for each in tolerated][:2] == ["not-ready", "unreachable"]
            stage.client.put(node("c"))
            stage.client.put(node("tainted"))
            await asyncio.sleep(0.1)
            assert list(stage.images()) == ["a", "b", "c", "tainted"]

    virtual_time.run(story())


def test_pods_follow_the_labels_of_nodes() -> None:
    async def story() -> None:
        stage = Daemons("a")
        async with stage.running():
            await stage.client.create(DAEMONSETS, a_daemonset(nodeSelector={"color": "blue"}))
            await asyncio.sleep(0.1)
            assert stage.images() == {}
            stage.client.put(node("a", color="blue"))
            await asyncio.sleep(0.1)
            stage.run_pods()
            assert stage.images() == {"a": ["v1"]}
            stage.client.put(node("a", color="green"))
            await asyncio.sleep(0.1)
            assert stage.end_deleted() == 1
            await asyncio.sleep(0.1)
            assert stage.numbers() == [0, 0, 0, 0, 0, 0]

    virtual_time.run(story())


def test_failed_and_lost_pods_come_back() -> None:
    async def story() -> None:
        stage = Daemons("a")
        async with stage.running():
            await stage.client.create(DAEMONSETS, a_daemonset())
            await asyncio.sleep(0.1)
            stage.run_pods()
            name = stage.names()[0]
            stage.end(name, 1)
            await asyncio.sleep(0.1)
            assert len(stage.names()) == 1
            assert stage.names() != [name]
            assert f"Found failed daemon pod ns/{name} on node a, will try to kill it" in "".join(
                stage.events.lines
            )
            stage.client.remove(PODS, f"ns/{stage.names()[0]}")
            await asyncio.sleep(0.1)
            assert len(stage.names()) == 1

    virtual_time.run(story())


def test_update_goes_node_by_node_and_back_under_the_old_name() -> None:
    async def story() -> None:
        stage = Daemons("a", "b")
        async with stage.running():
            await stage.client.create(DAEMONSETS, a_daemonset())
            await asyncio.sleep(0.1)
            stage.run_pods()
            await asyncio.sleep(0.1)
            await stage.set_image("v2")
            assert stage.end_deleted() == 1
            await asyncio.sleep(0.1)
            assert sorted(stage.images().values()) == [["v1"], ["v2"]]
            untouched = next(p for p in stage.pods() if p["spec"]["containers"][0]["image"] == "v1")
            await stage.set_image("v1")  # back, before the second node's turn
            for _ in range(3):
                stage.end_deleted()
                await asyncio.sleep(0.1)
                stage.run_pods()
                await asyncio.sleep(0.1)
            assert stage.images() == {"a": ["v1"], "b": ["v1"]}
            assert objects.name(untouched) in stage.names()
            found = stage.client.all(history.REVISIONS)
            assert sorted(history.number(each) for each in found) == [2, 3]
            assert stage.numbers() == [2, 2, 2, 2, 2, 0]

    virtual_time.run(story())


def test_surge_starts_the_new_before_it_ends_the_old() -> None:
    async def story() -> None:
        stage = Daemons("a", "b")
        rolling = {"maxSurge": 1, "maxUnavailable": 0}
        async with stage.running():
            update = {"type": "RollingUpdate", "rollingUpdate": rolling}
            await stage.client.create(DAEMONSETS, a_daemonset(update=update))
            await asyncio.sleep(0.1)
            stage.run_pods()
            await asyncio.sleep(0.1)
            await stage.set_image("v2")
            assert sorted(stage.images().values()) == [["v1"], ["v1", "v2"]]
            for _ in range(4):
                stage.run_pods()
                await asyncio.sleep(0.1)
                stage.end_deleted()
                await asyncio.sleep(0.1)
            assert stage.images() == {"a": ["v2"], "b": ["v2"]}

    virtual_time.run(story())


@pytest.mark.parametrize("strategy", ["OnDelete"])
def test_on_delete_waits_for_the_user(strategy: str) -> None:
    async def story() -> None:
        stage = Daemons("a")
        async with stage.running():
            await stage.client.create(DAEMONSETS, a_daemonset(update={"type": strategy}))
            await asyncio.sleep(0.1)
            stage.run_pods()
            await stage.set_image("v2")
            await asyncio.sleep(60)
            assert stage.images() == {"a": ["v1"]}
            stage.client.remove(PODS, f"ns/{stage.names()[0]}")
            await asyncio.sleep(0.1)
            assert stage.images() == {"a": ["v2"]}

    virtual_time.run(story())


def test_a_revision_keeps_its_template_as_go_writes_maps() -> None:
    data = history.data_of(a_daemonset(terminationGracePeriodSeconds=1))
    assert list(data["spec"]["template"]) == ["$patch", "metadata", "spec"]
    assert list(data["spec"]["template"]["spec"]) == ["containers", "terminationGracePeriodSeconds"]
    assert list(data["spec"]["template"]["spec"]["containers"][0]) == ["image", "name"]


def test_revisions_made_by_hand_are_left_alone_until_the_set_changes() -> None:
    async def story() -> None:
        stage = Daemons("a")
        async with stage.running():
            stage.client.put(a_daemonset())
            await asyncio.sleep(0.1)
            stage.run_pods()
            await asyncio.sleep(5)
            (first,) = stage.client.all(history.REVISIONS)
            meta = {**first["metadata"], "name": "mine"}
            stage.client.put({**first, "metadata": meta, "revision": 2})
            await asyncio.sleep(5)
            assert len(stage.client.all(history.REVISIONS)) == 2
            await stage.set_image("v2")
            assert max(each["revision"] for each in stage.client.all(history.REVISIONS)) == 3

    virtual_time.run(story())
