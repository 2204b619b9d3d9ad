"""Who manages what of objects that are stored in another version than they were written in."""

from __future__ import annotations

from typing import Any

from tests.unit.nanokube.apiserver.conftest import Api

AUTOSCALERS = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
TARGET = {"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"}


def autoscaler(**spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}}
    return {**kind, "spec": {"maxReplicas": 3, "scaleTargetRef": TARGET, **spec}}


async def test_fields_have_the_names_of_the_version_that_they_were_written_in(api: Api) -> None:
    made = await api("POST", AUTOSCALERS, autoscaler(targetCPUUtilizationPercentage=50))
    (entry,) = made.json["metadata"]["managedFields"]
    assert entry["apiVersion"] == "autoscaling/v1"
    names = ("maxReplicas", "minReplicas", "scaleTargetRef", "targetCPUUtilizationPercentage")
    assert entry["fieldsV1"] == {"f:spec": {f"f:{name}": {} for name in names}}


async def test_an_applied_v1_autoscaler_conflicts_by_its_own_fields(api: Api) -> None:
    await api("POST", f"{AUTOSCALERS}?fieldManager=one", autoscaler(targetCPUUtilizationPercentage=50))
    config = autoscaler(targetCPUUtilizationPercentage=60)
    apply = {"content_type": "application/apply-patch+yaml"}
    refused = await api("PATCH", f"{AUTOSCALERS}/h?fieldManager=two", config, **apply)
    assert refused.code == 409
    assert refused.json["message"].endswith(".spec.targetCPUUtilizationPercentage")
