"""pods/resize of a Pod's own resources: where its node says that it can."""

from __future__ import annotations

from tests.unit.nanokube.apiserver.conftest import Api

PODS = "/api/v1/namespaces/default/pods"
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
        "PATCH", "/api/v1/nodes/n/status", {"status": {"declaredFeatures": [FEATURE]}}, content_type=merge
    )
    resized = await api("PATCH", f"{PODS}/p/resize", body, content_type=STRATEGIC)
    assert (resized.code, resized.json["spec"]["resources"]) == (200, {"requests": {"cpu": "600m"}})
    assert resized.json["metadata"]["generation"] == 2
