"""What quotas count: devices of claims, claims by their attributes class."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import resources, usage

DEVICES = "gpu.deviceclass.resource.k8s.io/devices"
OTHER = "nic.deviceclass.resource.k8s.io/devices"


def wanting(cls: str, mode: str = "ExactCount", count: int = 1) -> dict[str, Any]:
    return {"deviceClassName": cls, "allocationMode": mode, "count": count}


@pytest.mark.parametrize(
    ("requests", "counted"),
    [
        ([], {}),
        ([{"exactly": wanting("gpu")}, {"exactly": wanting("gpu", count=2)}], {DEVICES: "3"}),
        ([{"exactly": wanting("gpu", "All")}], {DEVICES: "32"}),
        ([{"exactly": wanting("gpu", "Later")}], {}),
        (
            [
                {"firstAvailable": [wanting("gpu", count=2), wanting("gpu", count=5), wanting("nic")]},
                {"exactly": wanting("nic")},
            ],
            {DEVICES: "5", OTHER: "2"},
        ),
    ],
)
def test_devices_count_by_class_at_their_worst(requests: list[Any], counted: dict[str, str]) -> None:
    resource = resources.get("resourceclaims.resource.k8s.io")
    found = usage.of(resource, {"spec": {"devices": {"requests": requests}}})
    assert str(found.pop("count/resourceclaims.resource.k8s.io")) == "1"
    assert {name: str(amount) for name, amount in found.items()} == counted


GOLD: dict[str, Any] = {"spec": {"volumeAttributesClassName": "gold"}}
MOVING: dict[str, Any] = {
    "spec": {"volumeAttributesClassName": "gold"},
    "status": {
        "currentVolumeAttributesClassName": "silver",
        "modifyVolumeStatus": {"targetVolumeAttributesClassName": "bronze"},
    },
}
PLAIN: dict[str, Any] = {"spec": {}}


@pytest.mark.parametrize(
    ("operator", "values", "claim", "is_governed"),
    [
        ("Exists", [], GOLD, True),
        ("Exists", [], PLAIN, False),
        ("DoesNotExist", [], PLAIN, True),
        ("In", ["gold"], GOLD, True),
        ("In", ["silver"], GOLD, False),
        ("In", ["silver"], MOVING, True),
        ("In", ["bronze"], MOVING, True),
        ("NotIn", ["gold"], PLAIN, True),
    ],
)
def test_claims_are_governed_by_their_attributes_class(
    operator: str, values: list[str], claim: dict[str, Any], is_governed: bool
) -> None:
    term = {"scopeName": "VolumeAttributesClass", "operator": operator, "values": values}
    quota = {"spec": {"scopeSelector": {"matchExpressions": [term]}}}
    assert usage.is_governed(quota, resources.get("persistentvolumeclaims"), claim) is is_governed
    assert not usage.is_governed(quota, resources.get("pods"), claim)
    assert not usage.is_governed(quota, resources.get("services"), claim)
