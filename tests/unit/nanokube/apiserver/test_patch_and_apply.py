"""patch and server-side apply as clients see them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.nanokube.apiserver.conftest import CONFIGMAPS, Api, Reply, configmap

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (MERGE, {"data": {"k": None, "n": "1"}}),
        ("application/strategic-merge-patch+json", {"data": {"k": None, "n": "1"}}),
        (
            "application/json-patch+json",
            [{"op": "remove", "path": "/data/k"}, {"op": "add", "path": "/data/n", "value": "1"}],
        ),
    ],
)
async def test_patches(api: Api, content_type: str, body: Any) -> None:
    await api("POST", CONFIGMAPS, configmap("a", k="1"))
    reply = await api("PATCH", f"{CONFIGMAPS}/a", body, content_type=content_type)
    assert (reply.code, reply.json["data"]) == (200, {"n": "1"})
    assert (await api("PATCH", f"{CONFIGMAPS}/a", body, content_type="text/plain")).code == 415


@pytest.mark.parametrize("content_type", [MERGE, "application/strategic-merge-patch+json"])
async def test_a_number_of_any_length_where_text_belongs_is_told(api: Api, content_type: str) -> None:
    await api("POST", CONFIGMAPS, configmap("a", k="1"))
    number = str(10**40)
    body = f'{{"data":{{"k":{number}}}}}'.encode()
    reply = await api("PATCH", f"{CONFIGMAPS}/a", body, content_type=content_type)
    assert reply.code == 422
    assert number in reply.json["message"]


async def test_apply_creates_then_merges_and_conflicts_between_managers(api: Api) -> None:
    options: dict[str, Any] = {"content_type": APPLY}
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: '1'}\n"
    made = await api("PATCH", f"{CONFIGMAPS}/a?fieldManager=x", text, **options)
    assert made.code == 201
    assert made.json["metadata"]["managedFields"][0]["operation"] == "Apply"
    other = text.replace(b"'1'", b"'2'")
    assert (await api("PATCH", f"{CONFIGMAPS}/a?fieldManager=y", other, **options)).code == 409
    forced = await api("PATCH", f"{CONFIGMAPS}/a?fieldManager=y&force=true", other, **options)
    assert (forced.code, forced.json["data"]) == (200, {"k": "2"})
    assert (await api("PATCH", f"{CONFIGMAPS}/a", text, **options)).code == 422


async def test_an_apply_that_changes_nothing_writes_nothing(api: Api) -> None:
    async def apply(manager: str, text: bytes) -> tuple[str, dict[str, Any]]:
        api.clock.advance(2)
        reply = await api("PATCH", f"{url}?fieldManager={manager}", text, content_type=APPLY)
        metadata = reply.json["metadata"]
        return metadata["resourceVersion"], {e["manager"]: e.get("time") for e in metadata["managedFields"]}

    url = "/apis/apps/v1/namespaces/default/deployments/a"
    container = "{name: c, image: i, resources: {requests: {cpu: 1000m}}}"
    template = f"{{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{container}], volumes: []}}}}"
    spec = f"{{selector: {{matchLabels: {{a: b}}}}, template: {template}}}"
    text = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: a}}\nspec: {spec}\n".encode()
    made = await apply("x", text)
    assert await apply("x", text) == made
    plain = text.replace(b", volumes: []", b"")
    revision, times = await apply("y", plain)  # owns it too, but changed nothing: its entry has no time
    assert (revision != made[0], times) == (True, {**made[1], "y": None})
    assert await apply("y", plain) == (revision, times)
    revision, times = await apply("z", text)  # the empty list is a change, though it is not stored
    assert times["z"] is not None
    assert await apply("z", text) == (revision, times)


async def test_applied_zeros_are_set_and_owned_though_they_are_not_stored(api: Api) -> None:
    async def apply(manager: str, more: str, force: str = "") -> Reply:
        template = "{metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}"
        spec = f"{{selector: {{matchLabels: {{a: b}}}}, template: {template}, {more}}}"
        text = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: a}}\nspec: {spec}\n".encode()
        api.clock.advance(2)
        return await api("PATCH", f"{url}?fieldManager={manager}{force}", text, content_type=APPLY)

    def owned(reply: Reply, manager: str) -> set[str]:
        entries = {each["manager"]: each["fieldsV1"] for each in reply.json["metadata"]["managedFields"]}
        return set(entries[manager]["f:spec"])

    url = "/apis/apps/v1/namespaces/default/deployments/a"
    made = await apply("x", "paused: true, minReadySeconds: 5")
    assert made.code == 201
    assert made.json["spec"]["paused"] is True
    refused = await apply("y", "paused: false, minReadySeconds: 0")
    fields = [cause["field"] for cause in refused.json["details"]["causes"]]
    assert fields == [".spec.minReadySeconds", ".spec.paused"]
    changed = await apply("y", "paused: false, minReadySeconds: 0", "&force=true")
    assert changed.json["spec"].keys() & {"paused", "minReadySeconds"} == set()
    assert owned(changed, "y") >= {"f:paused", "f:minReadySeconds"}
    assert not owned(changed, "x") & {"f:paused", "f:minReadySeconds"}
    again = await apply("y", "paused: false, minReadySeconds: 0")
    assert again.json["metadata"] == changed.json["metadata"]
    assert (await apply("z", "paused: false")).code == 409  # nothing is stored that it could be equal to


async def test_an_applied_empty_map_is_owned_and_keeps_what_others_have_in_it(api: Api) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ''}\ndata: %b\n"
    await api("PATCH", f"{CONFIGMAPS}/a?fieldManager=x", text % b"{k: v}", content_type=APPLY)
    reply = await api("PATCH", f"{CONFIGMAPS}/a?fieldManager=y", text % b"{}", content_type=APPLY)
    assert reply.json["data"] == {"k": "v"}
    owned = {each["manager"]: each["fieldsV1"] for each in reply.json["metadata"]["managedFields"]}
    assert owned == {"x": {"f:data": {"f:k": {}}}, "y": {"f:data": {}}}
    assert reply.json["metadata"]["namespace"] == "default"
    reply = await api("PATCH", f"{CONFIGMAPS}/a?fieldManager=x", text % b"{}", content_type=APPLY)
    assert "data" not in reply.json
    sets = [each["fieldsV1"] for each in reply.json["metadata"]["managedFields"]]
    assert sets == [{"f:data": {}}] * 2


async def test_a_refusal_carries_warnings(api: Api) -> None:
    await api("POST", CONFIGMAPS, configmap("a", k="1"))
    body = {"metadata": {"resourceVersion": "1"}, "odd": 1}
    reply = await api("PATCH", f"{CONFIGMAPS}/a", body, content_type=MERGE)
    assert (reply.code, reply.headers.get("warning")) == (409, '299 - "unknown field \\"odd\\""')


async def test_a_configuration_without_a_name_is_of_the_object_of_the_path_if_there_is_one(api: Api) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\ndata: {k: '1'}\n"
    url = f"{CONFIGMAPS}/a?fieldManager=x"
    refused = await api("PATCH", url, text, content_type=APPLY)
    assert (refused.code, refused.json["message"]) == (
        400,
        "the name of the object (a based on URL) was undeterminable: name must be provided",
    )
    await api("POST", CONFIGMAPS, configmap("a"))
    applied = await api("PATCH", url, text, content_type=APPLY)
    assert (applied.code, applied.json["data"]) == (200, {"k": "1"})
    empty = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ''}\n"
    assert (await api("PATCH", url, empty, content_type=APPLY)).code == 400


@pytest.mark.parametrize("version", [None, "", "0"])
async def test_patches_may_not_take_the_version_away_where_updates_need_one(api: Api, version: Any) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    await api("POST", leases, {"metadata": {"name": "l"}})
    change = {"metadata": {"resourceVersion": version, "labels": {"a": "b"}}}
    refused = await api("PATCH", f"{leases}/l", change, content_type=MERGE)
    assert refused.code == 422
    assert refused.json["message"].endswith("must be specified for an update")
    config = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **change}
    applied = await api("PATCH", f"{leases}/l?fieldManager=x", config, content_type=APPLY)
    assert applied.code == (422 if version else 200)  # pruned, as null is
    change["metadata"].pop("resourceVersion")
    assert (await api("PATCH", f"{leases}/l", change, content_type=MERGE)).code == 200
    await api("POST", CONFIGMAPS, configmap("a"))
    change["metadata"]["resourceVersion"] = version
    assert (await api("PATCH", f"{CONFIGMAPS}/a", change, content_type=MERGE)).code == 200
