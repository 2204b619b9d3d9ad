"""Apply to /scale: conflicts with whoever set the replicas, wherever they set them."""

from __future__ import annotations

from typing import Any

from tests.unit.nanokube.apiserver.conftest import Api, pod

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
APPLY = "application/apply-patch+yaml"


def deployment(replicas: int) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod()["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "a"}}, "template": template},
    }


def scale(replicas: int, **metadata: str) -> dict[str, Any]:
    metadata = {"name": "d", **metadata}
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": metadata,
        "spec": {"replicas": replicas},
    }


async def owners(api: Api) -> list[tuple[str, str, str]]:
    """Who manages the replicas: manager, operation, subresource."""
    entries = (await api("GET", f"{DEPLOYMENTS}/d")).json["metadata"]["managedFields"]
    owning = [e for e in entries if "f:replicas" in e["fieldsV1"].get("f:spec", {})]
    return [(e["manager"], e["operation"], e.get("subresource", "")) for e in owning]


async def apply(api: Api, target: str, body: dict[str, Any], manager: str, force: str = "") -> Any:
    query = f"?fieldManager={manager}" + ("&force=true" if force else "")
    return await api("PATCH", f"{DEPLOYMENTS}/d{target}{query}", body, content_type=APPLY)


async def test_an_applied_scale_owns_the_replicas(api: Api) -> None:
    assert (await api("POST", f"{DEPLOYMENTS}?fieldManager=one", deployment(2))).code == 201
    refused = await apply(api, "/scale", scale(4), "two")
    assert refused.code == 409
    assert refused.json["message"] == (
        'Apply failed with 1 conflict: conflict with "one" using autoscaling/v1: .spec.replicas'
    )
    forced = await apply(api, "/scale", scale(4), "two", "force")
    assert (forced.code, forced.json["kind"], forced.json["spec"]) == (200, "Scale", {"replicas": 4})
    assert "managedFields" not in forced.json["metadata"]
    assert await owners(api) == [("two", "Apply", "scale")]
    assert (await apply(api, "/scale", scale(5), "two")).code == 200
    conflict = await apply(api, "", deployment(6), "three")
    assert 'conflict with "two" with subresource "scale": .spec.replicas' in conflict.json["message"]
    assert (await apply(api, "", deployment(6), "three", "force")).code == 200
    assert await owners(api) == [("three", "Apply", "")]


async def test_a_replaced_scale_is_recorded(api: Api) -> None:
    await api("POST", f"{DEPLOYMENTS}?fieldManager=one", deployment(2))
    assert (await api("PUT", f"{DEPLOYMENTS}/d/scale?fieldManager=two", scale(3))).code == 200
    assert await owners(api) == [("two", "Update", "scale")]
    live = (await api("GET", f"{DEPLOYMENTS}/d")).json["metadata"]
    assert (await api("PUT", f"{DEPLOYMENTS}/d/scale?fieldManager=four", scale(3))).code == 200
    assert (await api("GET", f"{DEPLOYMENTS}/d")).json["metadata"] == live


async def test_what_is_no_scale_of_the_object_is_refused(api: Api) -> None:
    await api("POST", DEPLOYMENTS, deployment(2))
    for body, code, text in (
        (scale(-1), 422, 'Scale.autoscaling "d" is invalid: spec.replicas: Invalid value: -1'),
        (scale(1, name="x"), 400, "the name of the object (x) does not match the name on the URL (d)"),
        (scale(1, uid="x"), 409, "Precondition failed: UID in precondition: x"),
        (scale(1, resourceVersion="1"), 409, "the object has been modified"),
    ):
        answer = await api("PUT", f"{DEPLOYMENTS}/d/scale", body)
        assert (answer.code, text in answer.json["message"]) == (code, True), answer.json
    wrong = await apply(api, "/scale", deployment(3), "two")
    assert (wrong.code, wrong.json["message"]) == (400, "invalid object type: apps/v1, Kind=Deployment")


async def test_a_patch_may_leave_a_scale_without_metadata_and_a_put_must_name_it(api: Api) -> None:
    await api("POST", DEPLOYMENTS, deployment(2))
    merge = "application/merge-patch+json"
    body = {"metadata": None, "spec": {"replicas": 3}}
    patched = await api("PATCH", f"{DEPLOYMENTS}/d/scale", body, content_type=merge)
    assert (patched.code, patched.json["spec"]) == (200, {"replicas": 3})
    put = await api("PUT", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 4}})
    assert (put.code, put.json["reason"]) == (400, "BadRequest")
    assert put.json["message"].endswith("(d based on URL) was undeterminable: name must be provided")


async def test_an_apply_with_fields_that_are_none_is_refused(api: Api) -> None:
    body = {**deployment(1), "spec": {**deployment(1)["spec"], "foo": 1}}
    answer = await apply(api, "", body, "m")
    assert answer.code == 400
    assert answer.json["message"] == (
        "failed to create typed patch object (/d; apps/v1, Kind=Deployment): "
        ".spec.foo: field not declared in schema"
    )


async def test_the_scale_of_a_replication_controller_has_a_selector(api: Api) -> None:
    path = "/api/v1/namespaces/default/replicationcontrollers"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = {"metadata": {"name": "r"}, "spec": {"replicas": 1, "selector": {"a": "b"}, "template": template}}
    assert (await api("POST", path, body)).code == 201
    assert (await api("GET", f"{path}/r/scale")).json["status"] == {"replicas": 0, "selector": "a=b"}
