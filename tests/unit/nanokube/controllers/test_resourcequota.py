"""ResourceQuotas are counted; volumes and claims are let go when nothing uses them."""

import asyncio
from typing import Any

import pytest

from nanokube.api import objects, resources
from nanokube.controllers import resourcequota, volume_protection
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import Stage

QUOTAS = resources.get("resourcequotas")
PODS = resources.get("pods")
CLAIMS = resources.get("persistentvolumeclaims")


def meta(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "ns", "uid": name, **more}


def pod(name: str, phase: str = "Running", claim: str = "") -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": {"cpu": "100m"}}}
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(name),
        "spec": {"containers": [container], "volumes": volumes, "nodeName": "n"},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("hard", "kinds"),
    [
        (["pods", "limits.memory", "cpu", "requests.nvidia.com/gpu"], ["pods"]),
        (["services", "services.nodeports"], ["services"]),
        (
            ["requests.storage", "gold.storageclass.storage.k8s.io/requests.storage"],
            ["persistentvolumeclaims"],
        ),
        (["count/deployments.apps", "secrets"], ["deployments.apps", "secrets"]),
        (["requests.ephemeral-storage"], ["pods"]),
        (["gpu.deviceclass.resource.k8s.io/devices"], ["resourceclaims.resource.k8s.io"]),
    ],
)
def test_the_names_of_a_quota_say_what_it_counts(hard: list[str], kinds: list[str]) -> None:
    assert [r.name for r in resourcequota.counted(dict.fromkeys(hard, "1"))] == kinds


def test_custom_resources_are_counted_when_they_are_known() -> None:
    gadgets = resources.Resource("example.com", "v1", "Gadget", "gadgets", "gadget", True)
    hard = {"count/gadgets.example.com": "1"}
    assert resourcequota.counted(hard) == []
    assert resourcequota.counted(hard, {gadgets.name: gadgets}) == [gadgets]


def test_a_quota_counts_what_runs_and_forgets_what_ended() -> None:
    async def story() -> None:
        stage = Stage(resourcequota.ResourceQuotaController)
        hard = {"pods": "5", "requests.cpu": "1", "configmaps": "3"}
        stage.client.put(
            {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta("q"), "spec": {"hard": hard}}
        )
        stage.client.put(pod("a"))
        stage.client.put(pod("b"))
        async with stage.running():
            await asyncio.sleep(1)
            status = stage.status(QUOTAS, "ns/q")
            assert status == {"hard": hard, "used": {"configmaps": "0", "pods": "2", "requests.cpu": "200m"}}
            grown = pod("a")
            grown["status"]["containerStatuses"] = [{"name": "c", "resources": {"requests": {"cpu": "300m"}}}]
            stage.client.put(grown)
            await asyncio.sleep(1)
            assert stage.status(QUOTAS, "ns/q")["used"]["requests.cpu"] == "400m"
            stage.client.put(pod("a"))
            stage.client.put(pod("b", "Succeeded"))
            stage.client.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("c")})
            await asyncio.sleep(2 * resourcequota.LISTED_EVERY_S)
            used = stage.status(QUOTAS, "ns/q")["used"]
            assert used == {"configmaps": "1", "pods": "1", "requests.cpu": "100m"}

    virtual_time.run(story())


def test_what_the_server_has_booked_counts_until_it_can_be_seen() -> None:
    """A Pod is bound just when the server books the next: what was let in must not be let in again."""

    async def story() -> None:
        stage = Stage(resourcequota.ResourceQuotaController)
        hard = {"pods": "2"}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta("q"), "spec": {"hard": hard}}
        stage.client.put({**quota, "status": {"hard": hard, "used": {"pods": "1"}}})
        stage.client.put(pod("a"))
        async with stage.running():
            await asyncio.sleep(1)
            stage.client.put({**quota, "status": {"hard": hard, "used": {"pods": "2"}}})
            bound = pod("a")
            bound["spec"]["nodeName"] = "node"
            bound["spec"]["activeDeadlineSeconds"] = 9
            stage.client.put(bound)
            await asyncio.sleep(0.2)
            assert stage.status(QUOTAS, "ns/q")["used"] == {"pods": "2"}
            stage.client.put(pod("b"))
            await asyncio.sleep(1)
            assert stage.status(QUOTAS, "ns/q")["used"] == {"pods": "2"}
            stage.client.put(pod("b", "Failed"))
            await asyncio.sleep(1)
            assert stage.status(QUOTAS, "ns/q")["used"] == {"pods": "1"}

    virtual_time.run(story())


def test_a_claim_is_kept_while_a_pod_uses_it() -> None:
    async def story() -> None:
        stage = Stage(volume_protection.VolumeProtectionController)
        gone = "2025-01-01T00:00:00Z"
        finalizers = [volume_protection.CLAIM_FINALIZER]
        stage.client.put(pod("a", claim="c"))
        stage.client.put(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": meta("c", finalizers=finalizers, deletionTimestamp=gone),
            }
        )
        async with stage.running():
            await asyncio.sleep(1)
            assert [objects.finalizers(c) for c in stage.client.all(CLAIMS)] == [finalizers]
            stage.client.remove(PODS, "ns/a")
            await asyncio.sleep(1)
            assert not any(objects.finalizers(c) for c in stage.client.all(CLAIMS))

    virtual_time.run(story())
