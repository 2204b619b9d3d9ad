"""Hand-made Endpoints shown as slices: created, changed, taken away."""

import asyncio
from typing import Any

import pytest

from nanokube.api import objects, resources
from nanokube.controllers import endpointslice_mirroring
from nanokube.kit import virtual_time
from tests.unit.nanokube.controllers.stage import Stage

ENDPOINTS = resources.get("endpoints")
SERVICES = resources.get("services")
SLICES = resources.get("endpointslices.discovery.k8s.io")


def hand_made(*addresses: str, **meta: Any) -> dict[str, Any]:
    found = [{"ip": address} for address in addresses]
    subset = {"addresses": found, "ports": [{"name": "web", "port": 80, "protocol": "TCP"}]}
    meta = {"name": "s", "namespace": "ns", **meta}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": [subset]}


def a_service(**spec: Any) -> dict[str, Any]:
    meta = {"name": "s", "namespace": "ns"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def shown(stage: Stage) -> list[list[str]]:
    slices = stage.client.all(SLICES)
    return [[each["addresses"][0] for each in found["endpoints"]] for found in slices]


def test_mirror_follows_and_goes() -> None:
    async def story() -> None:
        stage = Stage(endpointslice_mirroring.EndpointSliceMirroringController)
        async with stage.running():
            await stage.client.create(SERVICES, a_service())
            await stage.client.create(ENDPOINTS, hand_made("10.0.0.1", labels={"a": "b"}))
            await asyncio.sleep(0.1)
            assert shown(stage) == [["10.0.0.1"]]
            made = stage.client.all(SLICES)[0]
            assert objects.labels(made)["endpointslice.kubernetes.io/managed-by"] == (
                "endpointslicemirroring-controller.k8s.io"
            )
            assert objects.labels(made)["a"] == "b"
            assert made["ports"] == [{"name": "web", "port": 80, "protocol": "TCP"}]
            stage.client.put(hand_made("10.0.0.1", "10.0.0.2", "fd00::1", "nonsense"))
            await asyncio.sleep(0.1)
            assert shown(stage) == [["10.0.0.1", "10.0.0.2"], ["fd00::1"]]
            assert "InvalidIPAddress Skipped 1 invalid IP addresses" in stage.events.lines[0]
            await stage.client.delete(ENDPOINTS, "s", "ns")
            await asyncio.sleep(0.1)
            assert shown(stage) == []

    virtual_time.run(story())


@pytest.mark.parametrize(
    ("service", "meta"),
    [
        (a_service(selector={"app": "web"}), {}),
        (a_service(), {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}),
        (a_service(), {"annotations": {"control-plane.alpha.kubernetes.io/leader": "x"}}),
    ],
)
def test_what_is_not_mirrored(service: dict[str, Any], meta: dict[str, Any]) -> None:
    assert not endpointslice_mirroring.is_mirrored(hand_made("10.0.0.1", **meta), service)
