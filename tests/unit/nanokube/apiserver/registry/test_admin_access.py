"""Devices are had as their administrator in labelled namespaces only."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.apiserver.registry.admin_access import LABEL
from tests.unit.nanokube.apiserver.conftest import Api

CLAIMS = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
TEMPLATES = CLAIMS.replace("resourceclaims", "resourceclaimtemplates")
NAMESPACE = "/api/v1/namespaces/default"
DETAIL = f"Forbidden: admin access to devices requires the `{LABEL}: true` label on the containing namespace"


def claim(*admin_access: bool) -> dict[str, Any]:
    requests = [
        {"name": f"r{i}", "exactly": {"deviceClassName": "c", "adminAccess": wanted}}
        for i, wanted in enumerate(admin_access)
    ]
    return {"metadata": {"name": "x"}, "spec": {"devices": {"requests": requests}}}


async def label(api: Api, value: str) -> None:
    body = {"metadata": {"labels": {LABEL: value}}}
    answer = await api("PATCH", NAMESPACE, body, content_type="application/merge-patch+json")
    assert answer.code == 200


@pytest.mark.parametrize("path", [CLAIMS, TEMPLATES])
async def test_admin_access_is_refused_unless_the_namespace_is_labelled(api: Api, path: str) -> None:
    wanted = claim(False, True, True)
    if path == TEMPLATES:
        wanted["spec"] = {"spec": wanted["spec"]}
    for value in (None, "false"):
        if value is not None:
            await label(api, value)
        refused = await api("POST", path, wanted)
        assert refused.code == 422
        causes = refused.json["details"]["causes"]
        assert [(c["field"], c["message"]) for c in causes] == [
            ("spec.devices.requests[1].adminAccess", DETAIL)
        ]
    await label(api, "true")
    assert (await api("POST", path, wanted)).code == 201


async def test_who_asks_for_no_admin_access_needs_no_label(api: Api) -> None:
    assert (await api("POST", CLAIMS, claim(False))).code == 201


async def test_no_allocation_brings_admin_access_to_a_namespace_without_the_label(api: Api) -> None:
    result = {"request": "r0", "driver": "d.example.com", "pool": "p", "device": "d", "adminAccess": True}
    made = (await api("POST", CLAIMS, claim(False))).json
    made["status"] = {"allocation": {"devices": {"results": [result]}}}
    refused = await api("PUT", f"{CLAIMS}/x/status", made)
    assert (refused.code, refused.json["details"]["causes"][0]["message"]) == (422, DETAIL)
    assert refused.json["details"]["causes"][0]["field"] == "status.allocation.devices.results[0].adminAccess"
    await label(api, "true")
    granted = await api("PUT", f"{CLAIMS}/x/status", made)
    assert granted.code == 200
    await label(api, "false")
    granted.json["metadata"]["annotations"] = {"a": "b"}
    assert (await api("PUT", f"{CLAIMS}/x/status", granted.json)).code == 200
