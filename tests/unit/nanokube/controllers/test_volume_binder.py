"""Claims and volumes: who fits whom as a table, binding and release as stories."""

import asyncio
from typing import Any

import pytest

from nanokube.api import objects, resources, volume_binding
from nanokube.controllers import volume_binder
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import Stage

CLAIMS = resources.get("persistentvolumeclaims")
VOLUMES = resources.get("persistentvolumes")
CLASSES = resources.get("storageclasses.storage.k8s.io")


def a_volume(name: str, size: str = "1Gi", *, labels: Any = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], **spec},
        "status": {"phase": "Available"},
    }


def a_claim(size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    requests = {"requests": {"storage": size}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c", "namespace": "ns"},
        "spec": {"resources": requests, "accessModes": ["ReadWriteOnce"], **spec},
    }


@pytest.mark.parametrize(
    ("claim", "volumes", "expected"),
    [
        (a_claim(), [a_volume("a", "2Gi"), a_volume("b", "1Gi")], "b"),
        (a_claim("3Gi"), [a_volume("a", "2Gi")], None),
        (a_claim(storageClassName="fast"), [a_volume("a"), a_volume("b", storageClassName="fast")], "b"),
        (a_claim(accessModes=["ReadWriteMany"]), [a_volume("a")], None),
        (a_claim(volumeMode="Block"), [a_volume("a"), a_volume("b", volumeMode="Block")], "b"),
        (
            a_claim(selector={"matchLabels": {"a": "b"}}),
            [a_volume("a"), a_volume("b", labels={"a": "b"})],
            "b",
        ),
        (a_claim(), [a_volume("a", claimRef={"name": "other", "namespace": "ns"})], None),
        (a_claim(), [a_volume("a"), a_volume("b", "9Gi", claimRef={"name": "c", "namespace": "ns"})], "b"),
        (
            a_claim(storageClassName="fast", selector={"matchLabels": {"a": "b"}}),
            [a_volume("a", claimRef={"name": "c", "namespace": "ns"})],
            "a",
        ),
        (a_claim("2Gi"), [a_volume("a", claimRef={"name": "c", "namespace": "ns"})], None),
    ],
)
def test_best(claim: dict[str, Any], volumes: list[dict[str, Any]], expected: str | None) -> None:
    found = volume_binding.best(claim, volumes)
    assert (objects.name(found) if found else None) == expected


def test_claim_is_bound_when_its_volume_comes_and_lost_when_it_goes() -> None:
    async def story() -> None:
        stage = Stage(volume_binder.VolumeBinderController)
        async with stage.running():
            await stage.client.create(CLAIMS, a_claim())
            await asyncio.sleep(0.1)
            assert stage.status(CLAIMS, "ns/c") == {"phase": "Pending"}
            assert "no persistent volumes available for this claim" in stage.events.lines[0]
            await stage.client.create(VOLUMES, a_volume("v", "2Gi"))
            await asyncio.sleep(0.1)
            status = stage.status(CLAIMS, "ns/c")
            assert (status["phase"], status["capacity"]) == ("Bound", {"storage": "2Gi"})
            volume = stage.client.read(VOLUMES, "v")
            assert volume is not None
            assert volume["status"]["phase"] == "Bound"
            assert volume["spec"]["claimRef"]["name"] == "c"
            stage.client.remove(VOLUMES, "v")
            await asyncio.sleep(0.1)
            assert stage.status(CLAIMS, "ns/c")["phase"] == "Lost"

    virtual_time.run(story())


@pytest.mark.parametrize(
    ("claim", "cause"),
    [
        (a_claim("2Gi"), "requested PV is too small"),
        (a_claim(storageClassName="fast"), "storageClassName does not match"),
        (a_claim(volumeMode="Block"), "incompatible volumeMode"),
        (a_claim(accessModes=["ReadWriteMany"]), "incompatible accessMode"),
    ],
)
def test_a_volume_that_a_claim_names_must_be_what_it_asks_for(claim: dict[str, Any], cause: str) -> None:
    async def story() -> None:
        stage = Stage(volume_binder.VolumeBinderController)
        async with stage.running():
            await stage.client.create(VOLUMES, a_volume("v"))
            named = {**claim, "spec": {**claim["spec"], "volumeName": "v"}}
            await stage.client.create(CLAIMS, named)
            await asyncio.sleep(0.1)
            assert stage.status(CLAIMS, "ns/c") == {"phase": "Pending"}
            assert stage.status(VOLUMES, "v")["phase"] == "Available"
            told = f'Warning VolumeMismatch Cannot bind to requested volume "v": {cause}'
            assert told in stage.events.lines

    virtual_time.run(story())


def test_volume_of_a_deleted_claim_is_released_and_given_to_nobody() -> None:
    async def story() -> None:
        stage = Stage(volume_binder.VolumeBinderController)
        async with stage.running():
            await stage.client.create(VOLUMES, a_volume("v"))
            await stage.client.create(CLAIMS, a_claim())
            await asyncio.sleep(0.1)
            assert stage.status(CLAIMS, "ns/c")["phase"] == "Bound"
            await stage.client.delete(CLAIMS, "c", "ns")
            await asyncio.sleep(0.1)
            assert stage.status(VOLUMES, "v")["phase"] == "Released"
            await stage.client.create(CLAIMS, a_claim())
            await asyncio.sleep(0.1)
            assert stage.status(CLAIMS, "ns/c")["phase"] == "Pending"

    virtual_time.run(story())


def test_provisioner_of_the_class_is_asked() -> None:
    async def story() -> None:
        stage = Stage(volume_binder.VolumeBinderController)
        async with stage.running():
            meta = {"name": "fast"}
            storage_class = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": meta}
            await stage.client.create(CLASSES, {**storage_class, "provisioner": "example.com/p"})
            await stage.client.create(CLAIMS, a_claim(storageClassName="fast"))
            await asyncio.sleep(0.1)
            claim = stage.client.read(CLAIMS, "ns/c")
            assert claim is not None
            assert objects.annotations(claim)["volume.kubernetes.io/storage-provisioner"] == "example.com/p"
            assert any("ExternalProvisioning" in line for line in stage.events.lines)

    virtual_time.run(story())


@pytest.mark.parametrize(("phase", "current"), [("Pending", "gold"), ("Bound", "silver")])
def test_a_claim_has_its_volumes_attributes_class_once_bound(phase: str, current: str) -> None:
    claim = {"spec": {}, "status": {"phase": phase, "currentVolumeAttributesClassName": "silver"}}
    status = volume_binding.claim_status(claim, a_volume("v", volumeAttributesClassName="gold"))
    assert status["currentVolumeAttributesClassName"] == current


@pytest.mark.parametrize(
    ("policy", "reason"), [("Delete", "VolumeFailedDelete"), ("Recycle", "VolumeFailedRecycle")]
)
def test_volume_that_nobody_can_reclaim_fails_and_says_so(policy: str, reason: str) -> None:
    async def story() -> None:
        stage = Stage(volume_binder.VolumeBinderController)
        async with stage.running():
            await stage.client.create(VOLUMES, a_volume("v", persistentVolumeReclaimPolicy=policy))
            await stage.client.create(CLAIMS, a_claim())
            await asyncio.sleep(0.1)
            await stage.client.delete(CLAIMS, "c", "ns")
            await asyncio.sleep(0.1)
            status = stage.status(VOLUMES, "v")
            assert (status["phase"], "plugin" in status["message"]) == ("Failed", True)
            assert any(line.startswith(f"Warning {reason} ") for line in stage.events.lines)

    virtual_time.run(story())
