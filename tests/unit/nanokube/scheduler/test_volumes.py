"""Pods with claims: which node, why none, and what happens to the claims."""

import asyncio
from typing import Any

import pytest

from nanokube.api import objects, resources
from nanokube.client import fake
from nanokube.client.store import Store
from nanokube.kit import virtual_time
from nanokube.scheduler import cycle
from nanokube.scheduler.model import Cluster, NodeInfo, pod_info
from nanokube.scheduler.storage import Plan, Storage
from tests.unit.nanokube.scheduler import test_run

CLAIMS = resources.get("persistentvolumeclaims")
VOLUMES = resources.get("persistentvolumes")
PREEMPTION = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
SELECTED = "volume.kubernetes.io/selected-node"
ZONE = "topology.kubernetes.io/zone"


def a_node(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
    }


def a_class(provisioner: str = "kubernetes.io/no-provisioner", **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "late"},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
        **fields,
    }


def a_claim(name: str = "data", *, volume: str = "", mode: str = "ReadWriteOnce", **metadata: Any) -> Any:
    spec = {
        "storageClassName": "late",
        "accessModes": [mode],
        "resources": {"requests": {"storage": "1Gi"}},
        **({"volumeName": volume} if volume else {}),
    }
    if volume:
        metadata["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "ns", "uid": name, **metadata},
        "spec": spec,
        "status": {"phase": "Bound" if volume else "Pending"},
    }


def a_volume(name: str, host: str = "", size: str = "1Gi", **labels: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "late",
        "local": {"path": "/mnt"},
    }
    if host:
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"phase": "Available"},
    }


def a_pod(name: str = "p", *claims: str, **spec: Any) -> dict[str, Any]:
    volumes = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims or ("data",)]
    found = test_run.pod(name, volumes=volumes, **spec)
    found["metadata"]["uid"] = name
    return found


def storage(*objs: dict[str, Any]) -> Storage:
    stores = {kind: Store() for kind in ("PersistentVolumeClaim", "PersistentVolume", "StorageClass")}
    for obj in objs:
        stores[obj["kind"]].put(obj)
    return Storage(stores["PersistentVolumeClaim"], stores["PersistentVolume"], stores["StorageClass"])


def decide(pod: dict[str, Any], found: Storage, *nodes: dict[str, Any]) -> str:
    infos = [NodeInfo(each) for each in nodes or (a_node("a"), a_node("b"))]
    decision = cycle.decide(pod_info(pod), Cluster(infos, storage=found), pick=lambda names: names[0])
    return decision.node if isinstance(decision, cycle.Placed) else decision.message


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], '0/2 nodes are available: persistentvolumeclaim "data" not found.'),
        ([a_claim()], "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
        (
            [a_claim(deletionTimestamp="2026-01-01T00:00:00Z")],
            '0/2 nodes are available: persistentvolumeclaim "data" is being deleted.',
        ),
        ([a_claim(volume="v"), a_volume("v", "b")], "b"),
        (
            [a_claim(volume="v"), a_volume("v", "c")],
            "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.",
        ),
        (
            [a_claim(volume="v")],
            "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent "
            "pv(s).",
        ),
        (
            [a_claim(), a_class()],
            "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
        ),
        ([a_claim(), a_class(), a_volume("v", "b")], "b"),
        ([a_claim(), a_class("example.com/disk")], "a"),
        ([a_claim(annotations={SELECTED: "b"}), a_class("example.com/disk")], "b"),
        (
            [
                a_claim(),
                a_class("e", allowedTopologies=[{"matchLabelExpressions": [{"key": ZONE, "values": ["z"]}]}]),
            ],
            "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
        ),
    ],
)
def test_a_pod_goes_where_its_volumes_are_or_can_be_got(found: list[Any], expected: str) -> None:
    assert decide(a_pod(), storage(*found)) == expected


def test_two_claims_of_a_pod_do_not_get_one_volume() -> None:
    found = storage(a_claim("x"), a_claim("y"), a_class(), a_volume("v", "a"))
    assert "2 node(s) didn't find available persistent volumes to bind" in decide(a_pod("p", "x", "y"), found)
    found.volumes.put(a_volume("w", "a"))
    assert decide(a_pod("p", "x", "y"), found) == "a"


def test_what_is_planned_for_one_pod_is_not_there_for_another() -> None:
    volume, claim = a_volume("v", "a"), a_claim("x")
    found = storage(claim, a_claim("y"), a_class(), volume)
    found.assume("p", Plan("a", bind=((claim, volume),)))
    assert "2 node(s) didn't find" in decide(a_pod("q", "y"), found)
    assert decide(a_pod("r", "x"), found) == "a"  # the same claim
    found.forget("p")
    assert decide(a_pod("q", "y"), found) == "a"


def test_a_volume_is_used_in_its_zone() -> None:
    found = storage(a_claim(volume="v"), a_volume("v", **{ZONE: "z1__z2"}))
    nodes = [a_node("a", **{ZONE: "z3"}), a_node("b", **{ZONE: "z2"})]
    assert decide(a_pod(), found, *nodes) == "b"
    expected = "0/1 nodes are available: 1 node(s) had no available volume zone."
    assert decide(a_pod(), found, nodes[0]) == expected
    assert decide(a_pod(), found, a_node("c")) == "c"


def test_a_claim_for_one_pod_has_one_pod() -> None:
    found = storage(a_claim(volume="v", mode="ReadWriteOncePod"), a_volume("v"))
    nodes = [NodeInfo(a_node("a")), NodeInfo(a_node("b"))]
    nodes[0].add(pod_info(a_pod("first")))
    decision = cycle.decide(pod_info(a_pod()), Cluster(nodes, storage=found), pick=lambda names: names[0])
    assert isinstance(decision, cycle.Unplaced)
    assert "2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod" in decision.message


def test_a_volume_is_reserved_and_the_pod_bound_once_its_claim_is() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(a_node("a"), a_node("b"), a_class(), a_claim(), a_volume("v", "b"))
        async with test_run.running(client):
            await client.create(test_run.PODS, a_pod())
            await asyncio.sleep(1)
            volume = client.read(VOLUMES, "v")
            assert volume is not None
            assert volume["spec"]["claimRef"]["uid"] == "data"
            assert test_run.placed(client, "p") == ""
            bound = a_claim(volume="v")
            client.put({**bound, "metadata": {**bound["metadata"], "resourceVersion": ""}})
            await asyncio.sleep(1)
            assert test_run.placed(client, "p") == "b"

    virtual_time.run(scenario())


def test_a_provisioner_is_asked_and_may_refuse_the_node() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(a_node("a"), a_class("example.com/disk"), a_claim())
        async with test_run.running(client) as recorder:
            await client.create(test_run.PODS, a_pod())
            await asyncio.sleep(1)
            claim = client.read(CLAIMS, "ns/data")
            assert claim is not None
            assert objects.annotations(claim)[SELECTED] == "a"
            body = {"metadata": {"annotations": {SELECTED: None}}}
            await client.patch(CLAIMS, "data", body, "ns")
            await asyncio.sleep(0.5)
            message = (
                'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "data"'
            )
            assert f"Warning FailedScheduling {message}" in recorder.lines
            await asyncio.sleep(2)
            claim = client.read(CLAIMS, "ns/data")
            assert claim is not None
            assert objects.annotations(claim)[SELECTED] == "a"  # asked again

    virtual_time.run(scenario())


def test_a_pod_that_goes_while_it_waits_frees_its_node() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(a_node("a"), a_class("example.com/disk"), a_claim())
        async with test_run.running(client):
            await client.create(test_run.PODS, a_pod("p", cpu="4"))
            await client.create(test_run.PODS, test_run.pod("q", cpu="4"))
            await asyncio.sleep(1)
            assert test_run.placed(client, "q") == ""
            client.remove(test_run.PODS, "ns/p")
            await asyncio.sleep(3)
            assert test_run.placed(client, "q") == "a"

    virtual_time.run(scenario())


def test_a_pod_whose_class_binds_at_once_waits_for_its_claim() -> None:
    async def scenario() -> None:
        client = fake.FakeClient(a_node("a"), a_node("b"), a_claim())
        async with test_run.running(client) as recorder:
            await client.create(test_run.PODS, a_pod())
            await asyncio.sleep(1)
            why = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
            assert f"Warning FailedScheduling {why} {PREEMPTION}" in recorder.lines
            client.put(a_volume("v", "b"))
            client.put(a_claim(volume="v"))
            await asyncio.sleep(2)
            assert test_run.placed(client, "p") == "b"

    virtual_time.run(scenario())
