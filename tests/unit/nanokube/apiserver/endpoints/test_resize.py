"""pods/resize, as far as the Pod's node has a say: what it has, and what it can."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

STRATEGIC = "application/strategic-merge-patch+json"
FEATURE = "InPlacePodLevelResourcesVerticalScaling"


async def test_a_pods_own_resources_are_resized_where_the_node_can(api: Api) -> None:
    await api("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    spec = {
        "nodeName": "n",
        "containers": [{"name": "c", "image": "i"}],
        "resources": {"requests": {"cpu": "500m"}},
    }
    assert (await api("POST", PODS, {"metadata": {"name": "p"}, "spec": spec})).code == 201
    body = {"spec": {"resources": {"requests": {"cpu": "600m"}}}}
    refused = await api("PATCH", f"{PODS}/p/resize", body, content_type=STRATEGIC)
    assert refused.code == 403
    cause = f'pod update requires features {FEATURE} which are not available on node "n"'
    assert refused.json["message"] == f'pods "p" is forbidden: {cause}'
    merge = "application/merge-patch+json"
    await api(
        "PATCH",
        "/api/v1/nodes/n/status",
        {"status": {"declaredFeatures": [FEATURE], "allocatable": {"cpu": "1", "memory": "1Gi"}}},
        content_type=merge,
    )
    resized = await api("PATCH", f"{PODS}/p/resize", body, content_type=STRATEGIC)
    assert (resized.code, resized.json["spec"]["resources"]) == (200, {"requests": {"cpu": "600m"}})
    assert resized.json["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("wanted", "lacking"),
    [
        ({"cpu": "2", "memory": "1Gi"}, ""),
        ({"cpu": "2001m"}, "cpu, requested: 2001, allocatable: 2000"),
        (
            {"cpu": "3", "memory": "2Gi"},
            "cpu, requested: 3000, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824",
        ),
    ],
)
async def test_no_pod_is_resized_beyond_its_node(api: Api, wanted: dict[str, str], lacking: str) -> None:
    await bound(api, resources={"requests": {"cpu": "1", "memory": "1Mi"}})
    change = {"spec": {"containers": [{"name": "c", "resources": {"requests": wanted}}]}}
    reply = await api("PATCH", f"{PODS}/p/resize", change, content_type=STRATEGIC)
    if not lacking:
        assert reply.code == 200
        return
    assert reply.code == 403
    cause = f"node didn't have enough allocatable resources: {lacking}"
    assert reply.json["message"] == f'pods "p" is forbidden: {cause}'
    assert reply.json["details"]["causes"] == [{"reason": "NodeCapacity"}]
    label = {"metadata": {"labels": {"a": "b"}}}
    assert (await api("PATCH", f"{PODS}/p/resize", label, content_type=STRATEGIC)).code == 200


async def test_pods_of_other_systems_are_not_resized(api: Api) -> None:
    await bound(api, labels={"kubernetes.io/os": "windows"})
    change = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1m"}}}]}}
    reply = await api("PATCH", f"{PODS}/p/resize", change, content_type=STRATEGIC)
    assert 'only supported on linux nodes, node "n" is "windows"' in reply.json["message"]
    assert reply.json["details"]["causes"] == [{"reason": "UnsupportedPlatform"}]


async def bound(
    api: Api, *, resources: dict[str, Any] | None = None, labels: dict[str, str] | None = None
) -> None:
    await api("POST", "/api/v1/nodes", {"metadata": {"name": "n", "labels": labels or {}}})
    status = {"status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}}
    await api("PATCH", "/api/v1/nodes/n/status", status, content_type=STRATEGIC)
    made = pod(nodeName="n")
    made["spec"]["containers"][0]["resources"] = resources or {"requests": {"cpu": "500u"}}
    assert (await api("POST", PODS, made)).code == 201


async def test_of_an_init_container_only_cpu_and_memory_are_resized(api: Api) -> None:
    made = pod("i", restartPolicy="Never")
    amounts = {"requests": {"cpu": "100m"}}
    made["spec"]["initContainers"] = [{"name": "first", "image": "i", "resources": amounts}]
    assert (await api("POST", PODS, made)).code == 201

    async def resize(**wanted: str) -> Any:
        change = {"initContainers": [{"name": "first", "resources": {"requests": wanted}}]}
        return (await api("PATCH", f"{PODS}/i/resize", {"spec": change}, content_type=STRATEGIC)).json

    assert (await resize(cpu="200m"))["spec"]["initContainers"][0]["resources"]["requests"] == {"cpu": "200m"}
    refused = (await resize(**{"ephemeral-storage": "1Gi"}))["details"]["causes"]
    detail = "only cpu and memory resources for init or sidecar containers are mutable"
    assert [(each["field"], each["message"]) for each in refused] == [
        ("spec.initContainers[0]", f"Forbidden: {detail}")
    ]
