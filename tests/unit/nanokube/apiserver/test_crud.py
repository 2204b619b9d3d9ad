"""create, get, list, update, patch, delete as clients see them."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from nanokube.apiserver.registry import registry
from tests.unit.nanokube.apiserver.conftest import CONFIGMAPS, PODS, Api, configmap, pod

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


VERSIONED = {"metadata": {"name": "a", "resourceVersion": "1"}}


async def test_a_created_pod_has_what_the_server_owns(api: Api) -> None:
    made = await api("POST", PODS, pod())
    assert made.code == 201
    obj = made.json
    metadata = obj["metadata"]
    assert metadata["resourceVersion"].isdigit()
    assert metadata["uid"]
    assert metadata["creationTimestamp"] == "2025-06-15T15:06:40Z"
    assert metadata["managedFields"][0]["manager"] == "test"
    assert obj["status"]["phase"] == "Pending"
    spec = obj["spec"]
    assert spec["serviceAccountName"] == "default"
    assert spec["priority"] == 0
    assert [t["key"] for t in spec["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]
    volume = spec["volumes"][0]
    assert volume["name"].startswith("kube-api-access-")
    assert spec["containers"][0]["volumeMounts"][0]["name"] == volume["name"]
    assert (await api("GET", f"{PODS}/p")).json == obj


async def test_a_name_is_taken_once_and_generated_names_differ(api: Api) -> None:
    await api("POST", CONFIGMAPS, configmap("a"))
    again = await api("POST", CONFIGMAPS, configmap("a"))
    assert again.code == 409
    assert again.json["message"] == 'configmaps "a" already exists'
    assert again.json["reason"] == "AlreadyExists"
    generated = {"metadata": {"generateName": "x-"}}
    names = {(await api("POST", CONFIGMAPS, generated)).json["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("x-") and len(name) == 7 for name in names)


@pytest.mark.parametrize(
    ("method", "target", "body", "code", "message"),
    [
        ("GET", f"{PODS}/none", None, 404, 'pods "none" not found'),
        ("POST", "/api/v1/namespaces/none/configmaps", configmap("a"), 404, 'namespaces "none" not found'),
        ("GET", "/api/v1/nothing", None, 404, "the server could not find the requested resource"),
        ("GET", "/nothing", None, 404, "the server could not find the requested resource"),
        ("POST", CONFIGMAPS, {"metadata": {}}, 422, "name or generateName is required"),
        ("POST", CONFIGMAPS, configmap("A_"), 422, 'ConfigMap "A_" is invalid: metadata.name: Invalid value'),
        ("POST", CONFIGMAPS, VERSIONED, 400, "resourceVersion should not be set on objects to be created"),
        ("POST", CONFIGMAPS, {**VERSIONED, "data": {"!": ""}}, 422, "data[!]: Invalid value"),
        ("POST", CONFIGMAPS, b"{", 400, "json parse error"),
        ("POST", CONFIGMAPS, b"", 400, "empty"),
        ("POST", CONFIGMAPS, {**configmap("a"), "kind": "Secret"}, 400, "Secret"),
        (
            "POST",
            CONFIGMAPS,
            {"metadata": {"name": "a", "namespace": "b"}},
            400,
            "does not match the namespace",
        ),
        ("POST", CONFIGMAPS + "?dryRun=Some", configmap("a"), 422, 'dryRun: Unsupported value: ["Some"]'),
        (
            "PUT",
            CONFIGMAPS + "/none",
            {},
            400,
            "was undeterminable: name must be provided",
        ),
        ("PUT", CONFIGMAPS + "/none", configmap("none"), 404, 'configmaps "none" not found'),
        ("DELETE", CONFIGMAPS + "/none", None, 404, 'configmaps "none" not found'),
        ("DELETE", "/api/v1/namespaces/default", None, 403, "this namespace may not be deleted"),
        (
            "GET",
            CONFIGMAPS + "?fieldSelector=spec.x=y",
            None,
            400,
            '"spec.x" is not a known field selector',
        ),
        ("GET", CONFIGMAPS + "?labelSelector=!!", None, 400, "unable to parse"),
        ("GET", CONFIGMAPS + "?continue=zzz", None, 400, "continue key is not valid"),
        ("GET", CONFIGMAPS + "?resourceVersion=99999", None, 504, "Too large resource version: 99999"),
    ],
)
async def test_refusals(api: Api, method: str, target: str, body: Any, code: int, message: str) -> None:
    reply = await api(method, target, body)
    assert (reply.code, reply.json["kind"]) == (code, "Status")
    assert message in reply.json["message"]


async def test_an_update_with_a_stale_version_conflicts(api: Api) -> None:
    first = (await api("POST", CONFIGMAPS, configmap("a", k="1"))).json
    second = await api("PUT", f"{CONFIGMAPS}/a", {**first, "data": {"k": "2"}})
    assert second.code == 200
    assert int(second.json["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    stale = await api("PUT", f"{CONFIGMAPS}/a", {**first, "data": {"k": "3"}})
    assert stale.code == 409
    assert stale.json["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert (await api("PUT", f"{CONFIGMAPS}/a", configmap("a", k="4"))).code == 200  # unconditional


async def test_an_update_that_changes_nothing_writes_nothing(api: Api) -> None:
    first = (await api("POST", CONFIGMAPS, configmap("a", k="1"))).json
    revision = api.store.revision
    same = await api("PUT", f"{CONFIGMAPS}/a", first)
    assert same.json["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert api.store.revision == revision


@pytest.mark.parametrize("content_type", ["application/json", "application/yaml"])
async def test_null_is_an_object_without_fields(api: Api, content_type: str) -> None:
    posted = await api("POST", CONFIGMAPS, b" null\n", content_type=content_type)
    assert posted.json["message"] == (
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'
    )
    await api("POST", CONFIGMAPS, configmap("a", k="1"))
    put = await api("PUT", f"{CONFIGMAPS}/a", b"null", content_type=content_type)
    assert put.code in (400, 422)


async def test_yaml_goes_in_and_out_and_aliases_do_not(api: Api) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: 'y'\ndata:\n  when: '2020-01-01'\n"
    made = await api("POST", CONFIGMAPS, text, content_type="application/yaml")
    assert made.code == 201
    shown = await api("GET", f"{CONFIGMAPS}/y", headers={"accept": "application/yaml"})
    assert b'when: "2020-01-01"' in shown.body
    bomb = b"a: &a [x, x]\nb: [*a, *a]\n"
    assert (await api("POST", CONFIGMAPS, bomb, content_type="application/yaml")).code == 400
    sent = await api("POST", CONFIGMAPS, b"<a/>", content_type="application/xml")
    assert (sent.code, sent.json["reason"]) == (415, "UnsupportedMediaType")


async def test_protobuf_bodies_are_understood(api: Api) -> None:
    options: dict[str, Any] = {"content_type": "application/vnd.kubernetes.protobuf"}
    kind = b"\x0a\x02v1\x12\x09ConfigMap"
    obj = b"\x0a\x03\x0a\x01p" + b"\x12\x06\x0a\x01k\x12\x01v"  # metadata.name "p"; data {"k": "v"}
    body = b"k8s\0" + b"\x0a%c" % len(kind) + kind + b"\x12%c" % len(obj) + obj
    made = await api("POST", CONFIGMAPS, body, **options)
    assert (made.code, made.json["data"]) == (201, {"k": "v"})
    assert (await api("POST", CONFIGMAPS, b"k8s\0\xff", **options)).code == 400
    assert (await api("POST", PODS, body, **options)).code == 400


async def test_unknown_fields_are_refused_warned_about_or_dropped(api: Api) -> None:
    body = {**configmap("a"), "nonsense": 1}
    strict = await api("POST", CONFIGMAPS + "?fieldValidation=Strict", body)
    said = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error'
    assert (strict.code, strict.json["message"]) == (400, f'{said}: unknown field "nonsense"')
    warned = await api("POST", CONFIGMAPS, body)
    assert warned.code == 201
    assert warned.headers.get("warning") == '299 - "unknown field \\"nonsense\\""'
    assert "nonsense" not in warned.json


@pytest.mark.parametrize(("said", "code"), [("7", 400), ("0", 201), ("v1", 201)])
async def test_a_new_object_has_no_version(api: Api, said: str, code: int) -> None:
    body = configmap("a")
    body["metadata"]["resourceVersion"] = said
    answer = await api("POST", CONFIGMAPS, body)
    assert answer.code == code
    if code == 201:
        assert int(answer.json["metadata"]["resourceVersion"]) > 0


async def test_a_dry_run_leaves_nothing(api: Api) -> None:
    revision = api.store.revision
    assert (await api("POST", CONFIGMAPS + "?dryRun=All", configmap("a"))).code == 201
    assert api.store.revision == revision
    assert (await api("GET", f"{CONFIGMAPS}/a")).code == 404


async def test_deleting_answers_a_status_and_checks_preconditions(api: Api) -> None:
    made = (await api("POST", CONFIGMAPS, configmap("a"))).json
    wrong = await api("DELETE", f"{CONFIGMAPS}/a", {"preconditions": {"uid": "x"}})
    assert wrong.code == 409
    assert "ConfigMap" in wrong.json["message"]
    assert "the UID in the precondition (x) does not match the UID in record (" in wrong.json["message"]
    other = await api("DELETE", "/api/v1/namespaces/default", {"preconditions": {"uid": "x"}})
    assert "Precondition failed: UID in precondition: x, UID in object meta: " in other.json["message"]
    gone = await api("DELETE", f"{CONFIGMAPS}/a", {"preconditions": {"uid": made["metadata"]["uid"]}})
    assert gone.json["status"] == "Success"
    assert gone.json["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ("uid=x", None, 409),
        ("resourceVersion=1", None, 409),
        ("resourceVersion=0", None, 409),
        ("uid=&resourceVersion=", None, 200),
        ("uid=x", {}, 200),  # a body says it all
        ("gracePeriodSeconds=", None, 400),
    ],
)
async def test_preconditions_of_a_deletion_may_stand_in_the_query(
    api: Api, query: str, body: Any, code: int
) -> None:
    await api("POST", CONFIGMAPS, configmap("a"))
    assert (await api("DELETE", f"{CONFIGMAPS}/a?{query}", body)).code == code
    assert (await api("GET", f"{CONFIGMAPS}/a")).code == (404 if code == 200 else 200)


async def test_a_precondition_on_many_objects_ends_with_the_first_that_it_fails_at(api: Api) -> None:
    made = [(await api("POST", CONFIGMAPS, configmap(name))).json["metadata"] for name in ("a", "b")]
    refused = await api("DELETE", CONFIGMAPS, {"preconditions": {"uid": made[1]["uid"]}})
    assert refused.code == 409
    assert (await api("GET", f"{CONFIGMAPS}/b")).code == 200


async def test_deleting_answers_the_object_where_the_kind_says_so(api: Api) -> None:
    services = "/api/v1/namespaces/default/services"
    body = {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}
    made = (await api("POST", services, body)).json
    gone = await api("DELETE", f"{services}/a")
    assert gone.json["kind"] == "Service"
    assert gone.json["metadata"]["uid"] == made["metadata"]["uid"]
    assert gone.json["spec"]["clusterIP"] == made["spec"]["clusterIP"]


async def test_finalizers_hold_an_object_until_the_last_is_gone(api: Api) -> None:
    body = configmap("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    await api("POST", CONFIGMAPS, body)
    held = await api("DELETE", f"{CONFIGMAPS}/a?propagationPolicy=Foreground")
    assert held.json["metadata"]["deletionTimestamp"]
    assert held.json["metadata"]["finalizers"] == ["example.com/hold", "foregroundDeletion"]
    await api("PATCH", f"{CONFIGMAPS}/a", {"metadata": {"finalizers": None}}, content_type=MERGE)
    assert (await api("GET", f"{CONFIGMAPS}/a")).code == 404


async def test_a_scheduled_pod_is_deleted_gracefully_and_an_unscheduled_one_at_once(api: Api) -> None:
    await api("POST", PODS, pod("a"))
    gone = (await api("DELETE", f"{PODS}/a")).json
    assert (gone["kind"], gone["metadata"]["generation"]) == ("Pod", 2)
    assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
    assert gone["metadata"]["deletionTimestamp"] == "2025-06-15T15:06:40Z"
    assert (await api("GET", f"{PODS}/a")).code == 404
    await api("POST", PODS, pod("b"))
    bound = await api(
        "POST", f"{PODS}/b/binding", {"metadata": {"name": "b"}, "target": {"kind": "Node", "name": "n1"}}
    )
    assert (bound.code, bound.json["status"]) == (201, "Success")
    again = await api(
        "POST", f"{PODS}/b/binding", {"metadata": {"name": "b"}, "target": {"kind": "Node", "name": "n2"}}
    )
    assert again.code == 409
    ending = (await api("DELETE", f"{PODS}/b")).json
    assert ending["metadata"]["deletionGracePeriodSeconds"] == 30
    assert ending["metadata"]["deletionTimestamp"] == "2025-06-15T15:07:10Z"
    options = {"gracePeriodSeconds": 0, "preconditions": {"uid": ending["metadata"]["uid"]}}
    assert (await api("DELETE", f"{PODS}/b", options)).code == 200
    assert (await api("GET", f"{PODS}/b")).code == 404


async def test_status_and_spec_are_written_apart(api: Api) -> None:
    await api("POST", PODS, pod("a"))
    body = {"status": {"phase": "Running"}, "spec": {"nodeName": "x"}}
    changed = await api(
        "PATCH", f"{PODS}/a/status", body, content_type="application/strategic-merge-patch+json"
    )
    assert changed.json["status"]["phase"] == "Running"
    assert "nodeName" not in changed.json["spec"]
    kept = await api("PATCH", f"{PODS}/a", {"status": {"phase": "Failed"}}, content_type=MERGE)
    assert kept.json["status"]["phase"] == "Running"


async def test_scale_reads_and_writes_replicas(api: Api) -> None:
    labels = {"matchLabels": {"app": "a"}}
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod()["spec"]}
    body = {"metadata": {"name": "d"}, "spec": {"replicas": 2, "selector": labels, "template": template}}
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    assert (await api("POST", deployments, body)).code == 201
    seen = (await api("GET", f"{deployments}/d/scale")).json
    assert (seen["kind"], seen["spec"]["replicas"]) == ("Scale", 2)
    scaled = await api("PATCH", f"{deployments}/d/scale", {"spec": {"replicas": 5}}, content_type=MERGE)
    assert scaled.json["spec"]["replicas"] == 5
    live = (await api("GET", f"{deployments}/d")).json
    assert (live["spec"]["replicas"], live["metadata"]["generation"]) == (5, 2)


async def test_a_namespace_ends_when_it_is_finalized(api: Api) -> None:
    await api("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    ending = (await api("DELETE", "/api/v1/namespaces/n")).json
    assert ending["status"]["phase"] == "Terminating"
    late = await api("POST", "/api/v1/namespaces/n/configmaps", configmap("a"))
    assert late.code == 403
    assert "because it is being terminated" in late.json["message"]
    assert late.json["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    ending["spec"]["finalizers"] = []
    odd = {**ending, "spec": {"finalizers": ["a.b/c", "odd"]}}
    refused = await api("PUT", "/api/v1/namespaces/n/finalize", odd)
    assert (refused.code, refused.json["details"]["causes"][0]["field"]) == (422, "spec.finalizers[1]")
    assert (await api("PUT", "/api/v1/namespaces/n/finalize", ending)).code == 200
    assert (await api("GET", "/api/v1/namespaces/n")).code == 404


async def test_events_are_one_object_in_two_versions_and_expire(api: Api) -> None:
    body = {
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "Started",
        "message": "hello",
        "type": "Normal",
        "source": {"component": "kubelet"},
    }
    assert (await api("POST", "/api/v1/namespaces/default/events", body)).code == 201
    seen = (await api("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")).json
    assert (seen["apiVersion"], seen["note"], seen["regarding"]["name"]) == ("events.k8s.io/v1", "hello", "p")
    found = await api("GET", "/api/v1/events?fieldSelector=involvedObject.name=p,reason=Started")
    assert len(found.json["items"]) == 1
    assert api.store.expired(api.clock.time() + 3601) != []


async def test_deletecollection_deletes_what_is_selected(api: Api) -> None:
    for name in "abc":
        body = configmap(name)
        body["metadata"]["labels"] = {"odd": "yes" if name != "b" else "no"}
        await api("POST", CONFIGMAPS, body)
    gone = await api("DELETE", CONFIGMAPS + "?labelSelector=odd=yes")
    assert gone.json["kind"] == "ConfigMapList"
    left = (await api("GET", CONFIGMAPS)).json["items"]
    assert [o["metadata"]["name"] for o in left] == ["b"]


async def test_a_name_that_is_taken_beside_a_prefix_is_refused_as_a_generated_one(api: Api) -> None:
    body = configmap("a")
    body["metadata"]["generateName"] = "x-"
    assert (await api("POST", CONFIGMAPS, body)).code == 201
    reply = await api("POST", CONFIGMAPS, body)
    assert (reply.code, reply.json["reason"]) == (409, "AlreadyExists")
    assert reply.json["message"].endswith("the server was not able to generate a unique name for the object")


async def test_deletecollection_deletes_no_more_than_a_list_shows(api: Api) -> None:
    for name in "abc":
        await api("POST", CONFIGMAPS, configmap(name))
    for options, code in (("continue=x", 400), ("limit=x", 400), ("sendInitialEvents=true", 422)):
        assert (await api("DELETE", f"{CONFIGMAPS}?{options}")).code == code
    assert len((await api("GET", CONFIGMAPS)).json["items"]) == 3
    first = (await api("DELETE", f"{CONFIGMAPS}?limit=1")).json
    assert [o["metadata"]["name"] for o in first["items"]] == ["a"]
    rest = f"limit=1&continue={first['metadata']['continue']}"
    second = (await api("DELETE", f"{CONFIGMAPS}?{rest}")).json
    assert [o["metadata"]["name"] for o in second["items"]] == ["b"]
    assert [o["metadata"]["name"] for o in (await api("GET", CONFIGMAPS)).json["items"]] == ["c"]


async def test_concurrent_patches_all_arrive(api: Api) -> None:
    await api("POST", CONFIGMAPS, configmap("a"))

    async def patch(i: int) -> None:
        reply = await api("PATCH", f"{CONFIGMAPS}/a", {"data": {f"k{i}": "v"}}, content_type=MERGE)
        assert reply.code == 200

    async with asyncio.TaskGroup() as group:
        for i in range(8):
            group.create_task(patch(i))
    assert len((await api("GET", f"{CONFIGMAPS}/a")).json["data"]) == 8


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("DELETE", f"{CONFIGMAPS}/a", {"preconditions": 1}),
        ("DELETE", f"{CONFIGMAPS}/a", {"dryRun": 1}),
        ("DELETE", f"{CONFIGMAPS}/a", [1]),
        ("POST", PODS, {"metadata": {"name": "p"}, "spec": None}),
        ("POST", PODS, {"metadata": 1}),
        ("POST", PODS, {"metadata": {"name": "p"}, "spec": {"containers": [None]}}),
        ("POST", PODS, b"[" * 100_000),
        ("POST", f"{PODS}/p/binding", {"target": 1}),
    ],
)
async def test_malformed_bodies_are_the_clients_fault(api: Api, method: str, target: str, body: Any) -> None:
    await api("POST", CONFIGMAPS, configmap("a"))
    reply = await api(method, target, body)
    assert 400 <= reply.code < 500, reply.json


async def test_signing_requests_are_selected_by_signer_and_slices_by_node_and_driver(api: Api) -> None:
    slices = "/apis/resource.k8s.io/v1/resourceslices"
    for name, node in (("a", "n1"), ("b", "n2")):
        pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
        spec = {"driver": "d.example.com", "pool": pool, "nodeName": node}
        assert (await api("POST", slices, {"metadata": {"name": name}, "spec": spec})).code == 201
    selected = await api("GET", f"{slices}?fieldSelector=spec.nodeName=n2,spec.driver=d.example.com")
    assert [each["metadata"]["name"] for each in selected.json["items"]] == ["b"]
    csrs = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    assert (await api("GET", f"{csrs}?fieldSelector=spec.signerName=example.com/x")).code == 200


async def test_what_the_server_adds_has_no_manager(api: Api) -> None:
    made = await api("POST", PODS, pod("managed"))
    fields = made.json["metadata"]["managedFields"][0]["fieldsV1"]
    assert "kube-api-access-" in str(made.json["spec"]["volumes"])
    assert "f:volumes" not in fields["f:spec"]
    assert "f:tolerations" not in fields["f:spec"]
    service = {"metadata": {"name": "managed"}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}
    made = await api("POST", "/api/v1/namespaces/default/services", service)
    assert made.json["spec"]["clusterIP"]
    assert "f:clusterIP" not in made.json["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]


async def test_a_valid_template_does_not_make_its_variants_valid(api: Api) -> None:
    assert (await api("POST", PODS, pod("first"))).code == 201
    assert (await api("POST", PODS, pod("second"))).code == 201
    volumes: list[dict[str, Any]] = [
        {"name": name, "emptyDir": {}} for name in ("kube-api-access-aaaaa", "kube-api-access-")
    ]
    refused = await api("POST", PODS, pod("third", volumes=volumes))
    assert refused.code == 422
    assert "spec.volumes[1].name" in refused.json["message"]
    refused = await api("POST", PODS, pod("fourth", restartPolicy="Sometimes"))
    assert "spec.restartPolicy" in refused.json["message"]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/version?timeout=invalid", 400),
        (f"{CONFIGMAPS}?timeout=5", 400),
        (f"{CONFIGMAPS}?timeout=0s", 200),
        (f"{CONFIGMAPS}?timeout=1m1.5s", 200),
        (f"{CONFIGMAPS}?timeout=", 200),
    ],
)
async def test_a_timeout_is_a_duration(api: Api, target: str, code: int) -> None:
    answer = await api("GET", target)
    assert answer.code == code
    assert ("invalid timeout specified in the request URL" in str(answer.json)) is (code == 400)


async def test_a_patch_of_the_status_warns_of_what_it_brings_and_changes_nothing_else(api: Api) -> None:
    before = (await api("POST", PODS, pod())).json
    change = {
        "metadata": {"labels": {"new": "yes"}},
        "spec": {"nodeName": "other", "unknown": 1},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    kind = "application/strategic-merge-patch+json"
    done = await api("PATCH", f"{PODS}/p/status", change, content_type=kind)
    assert done.code == 200
    assert "spec.unknown" in done.headers.get("warning")
    assert done.json["spec"] == before["spec"]
    assert done.json["metadata"]["labels"] == {"app": "p", "new": "yes"}
    assert done.json["status"]["phase"] == "Running"
    only = await api("PATCH", f"{PODS}/p/status", {"status": {"reason": "x"}}, content_type=kind)
    assert only.json["status"] == {**done.json["status"], "reason": "x"}
    entries = [(e["manager"], e.get("subresource", "")) for e in only.json["metadata"]["managedFields"]]
    assert entries == [("test", ""), ("test", "status")]
    same = await api("PATCH", f"{PODS}/p/status", {"status": {"reason": "x"}}, content_type=kind)
    assert same.json["metadata"]["resourceVersion"] == only.json["metadata"]["resourceVersion"]
    wrong = await api("PATCH", f"{PODS}/p/status", {"spec": {"nodeName": 3}}, content_type=kind)
    assert wrong.code == 422


def test_uids_are_random_uuids() -> None:
    drawn = [registry.draw_uid() for _ in range(100)]
    assert all(str(uuid.UUID(uid)) == uid and uuid.UUID(uid).version == 4 for uid in drawn)
    assert {uuid.UUID(uid).variant for uid in drawn} == {uuid.RFC_4122}
    assert len(set(drawn)) == 100
    assert {len(registry.draw_letters("abc", 5)) for _ in range(9)} == {5}
    assert set(registry.draw_letters("abc", 200)) == set("abc")


@pytest.mark.parametrize("namespace", ["", "default", "none"])
async def test_the_namespace_of_what_has_none_is_dropped(api: Api, namespace: str) -> None:
    """Many charts give their ClusterRoles one."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    role = {"metadata": {"name": "r", "namespace": namespace}, "rules": []}
    made = await api("POST", path, role)
    changed = await api("PUT", f"{path}/r", role)
    applied = await api(
        "PATCH",
        f"{path}/r?fieldManager=m",
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", **role},
        content_type=APPLY,
    )
    assert (made.code, changed.code, applied.code) == (201, 200, 200)
    assert "namespace" not in applied.json["metadata"]


@pytest.mark.parametrize(
    ("kind", "body", "code", "text"),
    [
        ("merge", {"metadata": {"uid": "x"}}, 422, 'metadata.uid: Invalid value: "x": field is immutable'),
        ("merge", {"spec": {"nodeName": 3}}, 422, "patch: Invalid value: "),
        ("merge", {"kind": "Node"}, 422, "patch: Invalid value: "),
        ("merge", {"metadata": None}, 400, "name must be provided"),
        ("strategic-merge", {"kind": "Node"}, 200, ""),
        ("strategic-merge", None, 200, ""),
        ("merge", {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}}, 200, ""),
        ("json", [{"op": "nope", "path": "/spec"}], 422, "rejected our request"),
        ("json", None, 200, ""),
    ],
)
async def test_patches_are_refused_as_upstream_refuses_them(
    api: Api, kind: str, body: Any, code: int, text: str
) -> None:
    before = (await api("POST", PODS, pod())).json
    content = b"null" if body is None else body
    done = await api("PATCH", f"{PODS}/p", content, content_type=f"application/{kind}-patch+json")
    assert done.code == code
    assert text in done.json.get("message", "")
    if code == 200:
        assert done.json == before


_BOTH = {"rawSelector": "a=b", "requirements": [{"key": "a"}]}
_ATTRIBUTES = "spec.resourceAttributes"


@pytest.mark.parametrize(
    ("kind", "metadata", "spec", "path"),
    [
        ("subjectaccessreviews", {"name": "x"}, {"user": "u", "nonResourceAttributes": {}}, "metadata"),
        (
            "selfsubjectaccessreviews",
            {},
            {"resourceAttributes": {"labelSelector": {}}},
            f"{_ATTRIBUTES}.labelSelector.requirements",
        ),
        (
            "selfsubjectaccessreviews",
            {},
            {"resourceAttributes": {"fieldSelector": _BOTH}},
            f"{_ATTRIBUTES}.fieldSelector.rawSelector",
        ),
    ],
)
async def test_reviews_that_ask_wrongly_are_refused(
    api: Api, kind: str, metadata: dict[str, Any], spec: dict[str, Any], path: str
) -> None:
    body = {"metadata": metadata, "spec": spec}
    done = await api("POST", f"/apis/authorization.k8s.io/v1/{kind}", body)
    assert (done.code, [cause["field"] for cause in done.json["details"]["causes"]]) == (422, [path])


@pytest.mark.parametrize("shape", ["Table", "PartialObjectMetadata"])
async def test_a_scale_takes_other_shapes(api: Api, shape: str) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod()["spec"]}
    spec = {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    assert (await api("POST", path, body)).code == 201
    accept = {"accept": f"application/json;as={shape};g=meta.k8s.io;v=v1"}
    done = await api("GET", f"{path}/d/scale", headers=accept)
    assert (done.code, done.json["kind"]) == (200, shape)
    if shape == "Table":
        assert done.json["rows"][0]["cells"][:3] == ["d", 2, 0]


async def test_a_version_1_autoscaler_shows_the_metrics_that_it_keeps_in_annotations(api: Api) -> None:
    path = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    goal = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100Mi"}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    spec = {"maxReplicas": 5, "scaleTargetRef": target, "metrics": [{"type": "Resource", "resource": goal}]}
    body = {"metadata": {"name": "h"}, "spec": spec}
    assert (await api("POST", path.format("v2"), body)).code == 201
    accept = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    done = await api("GET", path.format("v1") + "?includeObject=None", headers=accept)
    assert done.json["rows"][0]["cells"][2] == "memory: <unknown>/100Mi"
    assert done.json["rows"][0]["object"] is None


@pytest.mark.parametrize(
    ("path", "shape", "code"),
    [
        (PODS, "PartialObjectMetadata", 406),
        (PODS, "PartialObjectMetadataList", 200),
        (f"{PODS}/p", "PartialObjectMetadata", 200),
        (f"{PODS}/p", "PartialObjectMetadataList", 406),
    ],
)
async def test_metadata_of_one_and_of_many_are_asked_for_by_their_names(
    api: Api, path: str, shape: str, code: int
) -> None:
    await api("POST", PODS, pod())
    done = await api("GET", path, headers={"accept": f"application/json;as={shape};g=meta.k8s.io;v=v1"})
    assert done.code == code


async def test_who_exists_is_told_by_the_group_that_was_asked(api: Api) -> None:
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    event = {
        "metadata": {"name": "e"},
        "eventTime": "2026-01-01T00:00:00.000001Z",
        "reportingController": "example.com/c",
        "reportingInstance": "i",
        "action": "A",
        "reason": "R",
        "type": "Normal",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
    }
    assert (await api("POST", path, event)).code == 201
    assert (await api("POST", path, event)).json["message"] == 'events.events.k8s.io "e" already exists'


async def test_a_patch_that_leaves_no_metadata_is_refused(api: Api) -> None:
    await api("POST", CONFIGMAPS, configmap("c"))
    patch = [{"op": "add", "path": "/metadata", "value": True}]
    reply = await api("PATCH", f"{CONFIGMAPS}/c", patch, content_type="application/json-patch+json")
    assert reply.code == 422
    assert "cannot unmarshal bool into Go struct field ConfigMap.metadata" in reply.json["message"]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"name": "x"}, "the name of the object (x) does not match the name on the URL (nn)"),
        (
            {"name": "x", "namespace": "e"},
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ],
)
async def test_what_a_put_is_about_is_asked_before_whether_it_exists(
    api: Api, metadata: dict[str, str], message: str
) -> None:
    refused = await api("PUT", "/api/v1/namespaces/default/configmaps/nn", {"metadata": metadata})
    assert (refused.code, refused.json["message"]) == (400, message)


async def test_a_new_object_brings_who_manages_what_it_does_not_set(api: Api) -> None:
    entry = {
        "manager": "before",
        "operation": "Apply",
        "apiVersion": "v1",
        "time": "2020-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:k": {}, "f:other": {}}},
    }
    body = {"metadata": {"name": "restored", "managedFields": [entry]}, "data": {"k": "v"}}
    made = await api("POST", "/api/v1/namespaces/default/configmaps?fieldManager=velero", body)
    found = made.json["metadata"]["managedFields"]
    assert [(e["manager"], e["operation"]) for e in found] == [("before", "Apply"), ("velero", "Update")]
    assert found[0]["fieldsV1"] == {"f:data": {"f:other": {}}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/namespaces/default/events", {"involvedObject": {"kind": "ClusterRole"}, "reason": "R"}),
        (
            "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
            {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
        ),
    ],
)
async def test_events_and_budgets_have_any_name_that_fits_into_a_path(
    api: Api, path: str, body: dict[str, Any]
) -> None:
    made = await api("POST", path, {**body, "metadata": {"name": "system:Node.17"}})
    assert (made.code, made.json["metadata"]["name"]) == (201, "system:Node.17")
    assert (await api("GET", f"{path}/system:Node.17")).code == 200
    refused = await api("POST", path, {**body, "metadata": {"name": "a/b"}})
    assert "may not contain '/'" in refused.json["message"]


@pytest.mark.parametrize(
    ("metadata", "given", "expected"),
    [
        ({"name": "j"}, {"a": "b"}, {"a", "job-name", "controller-uid"}),
        ({"generateName": "j-"}, {"a": "b"}, {"a"}),
        ({"generateName": "j-"}, {}, {"job-name", "controller-uid"}),
    ],
)
async def test_a_job_has_the_labels_of_its_pods(
    api: Api, metadata: dict[str, str], given: dict[str, str], expected: set[str]
) -> None:
    spec = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
    body = {"metadata": metadata, "spec": {"template": {"metadata": {"labels": given}, "spec": spec}}}
    made = (await api("POST", "/apis/batch/v1/namespaces/default/jobs", body)).json
    assert {label for label in made["metadata"]["labels"] if "/" not in label} == expected
    assert "job-name" in made["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            {"propagationPolicy": ""},
            422,
            'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupp',
        ),
        (
            {"gracePeriodSeconds": "x"},
            400,
            "json: cannot unmarshal string into Go struct field DeleteOptions.gra",
        ),
        (
            {"kind": "Pod"},
            400,
            'no kind "Pod" is registered for version "meta.k8s.io/v1" in scheme "k8s.io/api',
        ),
        (
            [],
            400,
            "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of ",
        ),
    ],
)
async def test_options_of_deletions_are_refused_in_upstreams_words(
    api: Api, body: Any, code: int, message: str
) -> None:
    refused = await api("DELETE", f"{CONFIGMAPS}/a", body)
    assert (refused.code, refused.json["message"][: len(message)]) == (code, message)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"name": ""}, "the name of the object (a based on URL) was undeterminable: name must be provided"),
        ({"name": "b"}, "the name of the object (b) does not match the name on the URL (a)"),
    ],
)
async def test_what_is_applied_names_its_object(api: Api, metadata: dict[str, str], message: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    for _ in range(2):  # once to make it, once to change it
        target = f"{CONFIGMAPS}/a?fieldManager=m"
        refused = await api("PATCH", target, body, content_type="application/apply-patch+yaml")
        assert (refused.code, refused.json["message"]) == (400, message)
        await api("POST", CONFIGMAPS, configmap("a"))


async def test_an_unknown_kind_of_patch_is_refused_by_the_router(api: Api) -> None:
    refused = await api("PATCH", f"{CONFIGMAPS}/a", {}, content_type="application/json")
    assert (refused.code, refused.json["message"]) == (415, "415: Unsupported Media Type")
    assert refused.json["details"] == {}
