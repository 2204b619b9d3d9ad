"""Updates that must name a version, and deletions without a grace period, as upstream answers them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.nanokube.apiserver.conftest import CONFIGMAPS, Api

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


async def test_an_update_without_the_version_says_which_field_lacks(api: Api) -> None:
    body: dict[str, Any] = {"metadata": {"name": "l"}, "spec": {}}
    assert (await api("POST", LEASES, body)).code == 201
    refused = await api("PUT", f"{LEASES}/l", body)
    detail = "Invalid value: 0: must be specified for an update"
    path = "metadata.resourceVersion"
    assert refused.code == 422
    assert refused.json["message"] == f'leases.coordination.k8s.io "l" is invalid: {path}: {detail}'
    assert refused.json["details"] == {
        "name": "l",
        "group": "coordination.k8s.io",
        "kind": "leases",
        "causes": [{"reason": "FieldValueInvalid", "message": detail, "field": path}],
    }


async def test_a_namespace_that_ends_has_no_grace_period(api: Api) -> None:
    made = await api("POST", "/api/v1/namespaces", {"metadata": {"name": "ends", "finalizers": ["a.b/c"]}})
    assert made.code == 201
    await api("DELETE", "/api/v1/namespaces/ends")
    metadata = (await api("GET", "/api/v1/namespaces/ends")).json["metadata"]
    assert "deletionTimestamp" in metadata
    assert "deletionGracePeriodSeconds" not in metadata


@pytest.mark.parametrize(("managers", "code"), [([], 400), ([{}], 400), (None, 201)])
async def test_what_is_applied_says_nothing_of_managers(api: Api, managers: Any, code: int) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "managedFields": managers}}
    target = "/api/v1/namespaces/default/configmaps/c?fieldManager=m"
    reply = await api("PATCH", target, config, content_type="application/apply-patch+yaml")
    assert reply.code == code
    if code == 400:
        assert reply.json["message"] == "metadata.managedFields must be nil"


@pytest.mark.parametrize(
    "op", [{"op": "add", "value": None}, {"op": "copy", "from": "/metadata/annotations"}]
)
async def test_null_where_nothing_was_is_nothing(api: Api, op: dict[str, Any]) -> None:
    endpoints = "/api/v1/namespaces/default/endpoints"
    body = {"metadata": {"name": "e", "annotations": {}}}
    assert (await api("POST", endpoints, body)).code == 201
    patch = [{**op, "path": "/subsets"}]
    reply = await api("PATCH", f"{endpoints}/e", patch, content_type="application/json-patch+json")
    assert (reply.code, reply.json.get("subsets")) == (200, None)


@pytest.mark.parametrize("query", ["", "?dryRun=All"])
async def test_a_name_that_is_about_to_be_free_is_told_of(api: Api, query: str) -> None:
    made = {"metadata": {"name": "a", "finalizers": ["x.y/z"]}}
    await api("POST", CONFIGMAPS, made)
    await api("DELETE", f"{CONFIGMAPS}/a")
    reply = await api("POST", CONFIGMAPS + query, made)
    said = 'object is being deleted: configmaps "a" already exists'
    assert (reply.code, reply.json["reason"], reply.json["message"]) == (409, "AlreadyExists", said)


async def test_an_applied_uid_is_immutable(api: Api) -> None:
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "1"}}
    reply = await api(
        "PATCH", f"{CONFIGMAPS}/a?fieldManager=m", body, content_type="application/apply-patch+yaml"
    )
    said = 'ConfigMap "a" is invalid: metadata.uid: Invalid value: "1": field is immutable'
    assert (reply.code, reply.json["message"]) == (422, said)


async def test_a_put_with_no_managers_leaves_none(api: Api) -> None:
    made = {"metadata": {"name": "a"}, "data": {"k": "1"}}
    assert (await api("POST", CONFIGMAPS, made)).json["metadata"]["managedFields"]
    reset = {"metadata": {"name": "a", "managedFields": list[Any]()}, "data": {"k": "2"}}
    assert "managedFields" not in (await api("PUT", f"{CONFIGMAPS}/a", reset)).json["metadata"]


@pytest.mark.parametrize(("first", "is_dated"), [({"data": {}}, True), ({}, False)])
async def test_who_applies_a_zero_changes_something(api: Api, first: Any, is_dated: bool) -> None:
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": "y"}}}
    path, kind = f"{CONFIGMAPS}/a?fieldManager=", "application/apply-patch+yaml"
    await api("PATCH", path + "one", body, content_type=kind)
    reply = await api("PATCH", path + "two", {**body, **first}, content_type=kind)
    (entry,) = [e for e in reply.json["metadata"]["managedFields"] if e["manager"] == "two"]
    assert ("time" in entry) == is_dated
