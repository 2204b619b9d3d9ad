"""What keeps claims, volumes and attributes classes: as a table, and as stories."""

import asyncio
from typing import Any

import pytest

from nanokube.api import objects, resources
from nanokube.controllers import volume_protection
from nanokube.controllers.volume_protection import CLAIMS, CLASSES, VOLUMES, VolumeProtectionController
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import Stage

GONE = "2025-01-01T00:00:00Z"


def of_kind(resource: resources.Resource, name: str, **more: Any) -> dict[str, Any]:
    place = {"namespace": "ns"} if resource.namespaced else {}
    metadata = {"name": name, **place, **more.pop("metadata", {})}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **more}


def user(phase: str = "Running", *, node: str = "n", metadata: Any = None, **volume: Any) -> dict[str, Any]:
    volumes = [{"name": "v", **(volume or {"persistentVolumeClaim": {"claimName": "c"}})}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", **(metadata or {})},
        "spec": {"nodeName": node, "volumes": volumes},
        "status": {"phase": phase},
    }


ENDED = {"deletionTimestamp": GONE, "deletionGracePeriodSeconds": 0}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (user(), True),
        (user("Succeeded"), True),
        (user(node=""), False),
        (user(metadata=ENDED), True),
        (user(persistentVolumeClaim={"claimName": "d"}), False),
        (user(emptyDir={}), False),
    ],
)
def test_who_holds_a_claim(pod: dict[str, Any], expected: bool) -> None:
    assert volume_protection.is_held(of_kind(CLAIMS, "c"), [pod]) is expected


@pytest.mark.parametrize(
    ("pod", "uid", "expected"),
    [
        (user(ephemeral={}), "u", True),
        (user(ephemeral={}), "other", False),
        (user(ephemeral={}, metadata=ENDED), "u", False),
    ],
)
def test_a_pod_holds_its_own_ephemeral_claim_until_it_is_shut_down(
    pod: dict[str, Any], uid: str, expected: bool
) -> None:
    owner = {"kind": "Pod", "name": "p", "uid": uid, "controller": True}
    claim = of_kind(CLAIMS, "p-v", metadata={"ownerReferences": [owner]})
    assert volume_protection.is_held(claim, [pod]) is expected


@pytest.mark.parametrize(
    ("resource", "finalizer"),
    [
        (CLAIMS, "kubernetes.io/pvc-protection"),
        (VOLUMES, "kubernetes.io/pv-protection"),
        (CLASSES, "kubernetes.io/vac-protection"),
    ],
)
def test_what_lacks_its_finalizer_gets_it_unless_it_is_being_deleted(
    resource: resources.Resource, finalizer: str
) -> None:
    async def story() -> None:
        stage = Stage(VolumeProtectionController)
        stage.client.put(of_kind(resource, "old", metadata={"finalizers": ["mine"]}))
        going = {"deletionTimestamp": GONE, "finalizers": ["mine"]}
        stage.client.put(of_kind(resource, "going", metadata=going))
        async with stage.running():
            await asyncio.sleep(1)
            found = {objects.name(each): objects.finalizers(each) for each in stage.client.all(resource)}
            assert found == {"old": ["mine", finalizer], "going": ["mine"]}

    virtual_time.run(story())


def test_a_class_goes_when_no_volume_and_no_claim_names_it() -> None:
    async def story() -> None:
        stage = Stage(VolumeProtectionController)
        metadata = {"deletionTimestamp": GONE, "finalizers": [volume_protection.CLASS_FINALIZER]}
        stage.client.put(of_kind(CLASSES, "gold", metadata=metadata))
        stage.client.put(of_kind(CLAIMS, "c", spec={"volumeAttributesClassName": "gold"}))
        async with stage.running():
            await asyncio.sleep(1)
            assert stage.client.all(CLASSES)[0]["metadata"]["finalizers"]
            stage.client.put(of_kind(CLAIMS, "c", spec={"volumeAttributesClassName": "silver"}))
            await asyncio.sleep(1)
            assert not any(map(objects.finalizers, stage.client.all(CLASSES)))

    virtual_time.run(story())
