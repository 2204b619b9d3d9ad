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
    api: Api,
    *,
    resources: dict[str, Any] | None = None,
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> None:
    await api("POST", "/api/v1/nodes", {"metadata": {"name": "n", "labels": labels or {}}})
    status = {"status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}}
    await api("PATCH", "/api/v1/nodes/n/status", status, content_type=STRATEGIC)
    made = pod(nodeName="n", **spec)
    made["spec"]["containers"][0]["resources"] = resources or {"requests": {"cpu": "500u"}}
    assert (await api("POST", PODS, made)).code == 201


async def test_what_a_resize_needs_the_node_must_declare(api: Api) -> None:
    await bound(api, initContainers=[{"name": "first", "image": "i"}])
    change = {
        "initContainers": [{"name": "first", "resources": {"requests": {"cpu": "100m"}}}],
        "resources": {"requests": {"cpu": "1"}},
    }
    refused = await api("PATCH", f"{PODS}/p/resize", {"spec": change}, content_type=STRATEGIC)
    assert refused.code == 403
    del change["resources"]
    refused = await api("PATCH", f"{PODS}/p/resize", {"spec": change}, content_type=STRATEGIC)
    feature = "InPlacePodVerticalScalingInitContainers"
    cause = f'pod update requires features {feature} which are not available on node "n"'
    assert refused.json["message"] == f'pods "p" is forbidden: {cause}'
    status = {"status": {"declaredFeatures": [feature]}}
    await api("PATCH", "/api/v1/nodes/n/status", status, content_type=STRATEGIC)
    assert (await api("PATCH", f"{PODS}/p/resize", {"spec": change}, content_type=STRATEGIC)).code == 200


@pytest.mark.parametrize(
    ("made", "refusal"),
    [
        (
            {"annotations": {"kubernetes.io/config.mirror": "x"}},
            "[]: Forbidden: static pods cannot be resized",
        ),
        ({"os": {"name": "windows"}}, "[]: Forbidden: windows pods cannot be resized"),
        (
            {"status": {"state": {"running": {}}}},
            "spec: Forbidden: Pod running on node without support for resize",
        ),
        ({"status": {"state": {"running": {}}, "resources": {}}}, ""),
        ({"status": {"state": {"waiting": {}}}}, ""),
        ({}, ""),
    ],
)
async def test_pods_that_nobody_resizes(api: Api, made: dict[str, Any], refusal: str) -> None:
    body = pod("p", **({"os": made["os"]} if "os" in made else {}))
    if "annotations" in made:
        body["metadata"]["annotations"] = made["annotations"]
        body["spec"]["nodeName"] = "n"
    body["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1m"}}
    assert (await api("POST", PODS, body)).code == 201
    if "status" in made:
        one = {"name": "c", "image": "i", "imageID": "", "ready": False, "restartCount": 0, **made["status"]}
        status = {"status": {"containerStatuses": [one]}}
        assert (await api("PATCH", f"{PODS}/p/status", status, content_type=STRATEGIC)).code == 200
    change = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "2m"}}}]}}
    reply = await api("PATCH", f"{PODS}/p/resize", change, content_type=STRATEGIC)
    assert reply.json.get("message", "").partition(" is invalid: ")[2] == refusal


async def test_of_a_pod_itself_only_cpu_and_memory_are_resized(api: Api) -> None:
    body = pod("p", resources={"requests": {"cpu": "1"}})
    assert (await api("POST", PODS, body)).code == 201
    pages = {"hugepages-2Mi": "2Mi"}
    change = {"spec": {"resources": {"requests": pages, "limits": pages}}}
    reply = await api("PATCH", f"{PODS}/p/resize", change, content_type=STRATEGIC)
    detail = "only cpu and memory resources are mutable at pod-level"
    assert reply.json["message"] == f'Pod "p" is invalid: spec: Forbidden: {detail}'


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
