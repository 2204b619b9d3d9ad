"""The built-in provisioner: volumes made where Pods go, grown, and removed with their data."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from nanokube.api import errors, objects, resources
from nanokube.client import fake
from nanokube.controllers import local_volumes, volume_binder, volume_protection
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import Stage

CLAIMS = resources.get("persistentvolumeclaims")
VOLUMES = resources.get("persistentvolumes")
SELECTED = "volume.kubernetes.io/selected-node"
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n", "labels": {"kubernetes.io/hostname": "host-n"}},
}


class Client(fake.FakeClient):
    """A server that leads to nodes; what they are asked is kept."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked: list[str] = []
        self.is_down = False

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        if self.is_down:
            raise errors.service_unavailable("no route to host")
        self.asked.append(f"{method} {path}")
        return orjson.dumps({"path": f"/var/lib/nanokube/volumes/{path.rpartition('/')[2]}"})


def stage(**storage_class: Any) -> tuple[Stage, Client]:
    made = Stage(
        volume_binder.VolumeBinderController,
        volume_protection.VolumeProtectionController,
        local_volumes.LocalVolumesController,
    )
    made.client = client = Client(time=made.clock)
    client.put(a_class(**storage_class))
    client.put(NODE)
    return made, client


def a_class(**fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local"},
        "provisioner": "nanokube.io/local",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
        **fields,
    }


def a_claim(node: str = "n", **spec: Any) -> dict[str, Any]:
    metadata = {
        "name": "data",
        "namespace": "ns",
        "uid": "u",
        "annotations": {SELECTED: node} if node else {},
    }
    whole = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "local",
        **spec,
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": whole}


def found(client: Client, resource: resources.Resource, key: str) -> dict[str, Any]:
    obj = client.read(resource, key)
    assert obj is not None
    return obj


def test_a_volume_is_made_on_the_chosen_node_and_bound() -> None:
    async def scenario() -> None:
        made, client = stage()
        async with made.running():
            client.put(a_claim(""))
            await asyncio.sleep(1)
            assert client.asked == []
            await client.patch(CLAIMS, "data", {"metadata": {"annotations": {SELECTED: "n"}}}, "ns")
            await asyncio.sleep(1)
            assert client.asked == ["PUT /api/v1/nodes/n/proxy/volumes/pvc-u"]
            spec = found(client, VOLUMES, "pvc-u")["spec"]
            assert spec["local"] == {"path": "/var/lib/nanokube/volumes/pvc-u"}
            assert spec["capacity"] == {"storage": "1Gi"}
            (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
            assert term["matchExpressions"][0]["values"] == ["host-n"]
            assert found(client, CLAIMS, "ns/data")["status"]["phase"] == "Bound"
            assert "Normal ProvisioningSucceeded Successfully provisioned volume pvc-u" in made.events.lines

    virtual_time.run(scenario())


def test_a_released_volume_goes_with_its_data_once_the_node_answers() -> None:
    async def scenario() -> None:
        made, client = stage()
        async with made.running():
            client.put(a_claim())
            await asyncio.sleep(1)
            client.is_down = True
            await client.delete(CLAIMS, "data", "ns")
            await asyncio.sleep(1)
            assert found(client, VOLUMES, "pvc-u")["status"]["phase"] == "Released"
            assert any("VolumeFailedDelete" in line for line in made.events.lines)
            client.is_down = False
            await asyncio.sleep(60)
            assert set(client.asked[1:]) == {"DELETE /api/v1/nodes/n/proxy/volumes/pvc-u"}
            assert client.read(VOLUMES, "pvc-u") is None

    virtual_time.run(scenario())


def test_a_volume_deleted_before_its_claim_takes_its_data_along() -> None:
    async def scenario() -> None:
        made, client = stage()
        async with made.running():
            client.put(a_claim())
            await asyncio.sleep(1)
            await client.delete(VOLUMES, "pvc-u")
            await asyncio.sleep(1)
            assert len(client.asked) == 1
            await client.delete(CLAIMS, "data", "ns")
            await asyncio.sleep(1)
            assert set(client.asked[1:]) == {"DELETE /api/v1/nodes/n/proxy/volumes/pvc-u"}
            assert client.read(VOLUMES, "pvc-u") is None

    virtual_time.run(scenario())


def test_a_retained_volume_keeps_its_data_whoever_deletes_it() -> None:
    async def scenario() -> None:
        made, client = stage(reclaimPolicy="Retain")
        async with made.running():
            client.put(a_claim())
            await asyncio.sleep(1)
            await client.delete(CLAIMS, "data", "ns")
            await asyncio.sleep(1)
            assert found(client, VOLUMES, "pvc-u")["status"]["phase"] == "Released"
            await client.delete(VOLUMES, "pvc-u")
            await asyncio.sleep(1)
            assert client.read(VOLUMES, "pvc-u") is None
            assert len(client.asked) == 1

    virtual_time.run(scenario())


def test_a_node_that_is_gone_has_no_data_and_gets_none() -> None:
    async def scenario() -> None:
        made, client = stage()
        async with made.running():
            client.put(a_claim("other"))
            await asyncio.sleep(1)
            assert SELECTED not in objects.annotations(found(client, CLAIMS, "ns/data"))
            await client.patch(CLAIMS, "data", {"metadata": {"annotations": {SELECTED: "n"}}}, "ns")
            await asyncio.sleep(1)
            client.remove(resources.get("nodes"), "n")
            await client.delete(CLAIMS, "data", "ns")
            await asyncio.sleep(1)
            assert client.read(VOLUMES, "pvc-u") is None
            assert len(client.asked) == 1

    virtual_time.run(scenario())


def test_a_node_that_is_silent_is_not_asked_before_it_is_heard_of_again() -> None:
    """Each question would hold a worker for as long as a connection may take."""

    async def scenario() -> None:
        made, client = stage()
        silent = {"conditions": [{"type": "Ready", "status": "Unknown"}]}
        async with made.running():
            client.put(a_claim())
            await asyncio.sleep(1)
            client.put({**NODE, "status": silent})
            await client.delete(CLAIMS, "data", "ns")
            other = a_claim()
            other["metadata"] |= {"name": "other", "uid": "o"}
            client.put(other)
            await asyncio.sleep(100)
            assert len(client.asked) == 1
            assert "Warning VolumeFailedDelete node n is not heard of" in made.events.lines
            assert SELECTED not in objects.annotations(found(client, CLAIMS, "ns/other"))
            client.put(NODE)
            await asyncio.sleep(local_volumes.LISTEN_S)
            assert client.read(VOLUMES, "pvc-u") is None

    virtual_time.run(scenario())


def test_a_claim_that_asks_for_more_gets_it() -> None:
    async def scenario() -> None:
        made, client = stage(allowVolumeExpansion=True)
        async with made.running():
            client.put(a_claim())
            await asyncio.sleep(1)
            body = {"spec": {"resources": {"requests": {"storage": "3Gi"}}}}
            await client.patch(CLAIMS, "data", body, "ns")
            await asyncio.sleep(1)
            assert found(client, VOLUMES, "pvc-u")["spec"]["capacity"] == {"storage": "3Gi"}
            assert found(client, CLAIMS, "ns/data")["status"]["capacity"] == {"storage": "3Gi"}

    virtual_time.run(scenario())


@pytest.mark.parametrize(
    ("spec", "storage_class", "cause"),
    [
        ({"accessModes": ["ReadWriteMany"]}, {}, "only the access modes ReadWriteOnce and ReadWriteOncePod"),
        ({"volumeMode": "Block"}, {}, "only volumeMode Filesystem is supported"),
        ({"selector": {}}, {}, "claim Selector is not supported"),
        ({}, {"volumeBindingMode": "Immediate"}, "no node was chosen"),
    ],
)
def test_what_a_directory_cannot_be_is_told(spec: Any, storage_class: Any, cause: str) -> None:
    assert local_volumes.unfit(a_claim(**spec), a_class(**storage_class)).startswith(cause)
    assert local_volumes.unfit(a_claim(), a_class()) == ""
