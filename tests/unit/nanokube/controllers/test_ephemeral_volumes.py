"""The claims of generic ephemeral volumes."""

import asyncio
from typing import Any

from nanokube.api import objects, resources
from nanokube.controllers.ephemeral_volumes import EphemeralVolumesController
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import Stage

CLAIMS = resources.get("persistentvolumeclaims")
SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def a_pod() -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": SPEC}
    volumes = [
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}},
        {"name": "x", "emptyDir": {}},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": volumes},
    }


def test_a_pod_s_volume_gets_a_claim_of_its_own_again_when_it_is_deleted() -> None:
    async def story() -> None:
        stage = Stage(EphemeralVolumesController)
        stage.client.put(a_pod())
        async with stage.running():
            await asyncio.sleep(1)
            (claim,) = stage.client.all(CLAIMS)
            assert (objects.name(claim), claim["spec"], objects.labels(claim)) == (
                "p-scratch",
                SPEC,
                {"a": "b"},
            )
            (owner,) = objects.owner_references(claim)
            assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
                "Pod",
                "p",
                "u",
                True,
            )
            stage.client.remove(CLAIMS, "ns/p-scratch")
            await asyncio.sleep(1)
            assert [objects.name(each) for each in stage.client.all(CLAIMS)] == ["p-scratch"]

    virtual_time.run(story())


def test_a_claim_of_somebody_else_is_left_alone_and_told_of() -> None:
    async def story() -> None:
        stage = Stage(EphemeralVolumesController)
        other = {"name": "p-scratch", "namespace": "ns"}
        stage.client.put({"apiVersion": "v1", "kind": CLAIMS.kind, "metadata": other, "spec": SPEC})
        stage.client.put(a_pod())
        async with stage.running():
            await asyncio.sleep(1)
        assert any(
            "FailedBinding" in line
            and "PVC ns/p-scratch was not created for pod ns/p (pod is not owner)" in line
            for line in stage.events.lines
        )

    virtual_time.run(story())
