"""Webhooks that mean harm, or do it: no write hangs, none is corrupted, no other waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nanokube.kit.http.message import Response, encode_fields
from tests.unit.nanokube.apiserver.admission.webhooks.conftest import (
    NAMESPACE,
    config_map,
    hook,
    register,
    rule,
)
from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod
from tests.unit.nanokube.apiserver.hookserver import json_patch, serving

MAPS = f"{NAMESPACE}/configmaps"
MERGE = "application/merge-patch+json"


def remove(path: str) -> dict[str, Any]:
    return {"op": "remove", "path": path}


def put(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


DEEP = [put("/x" * depth, {}) for depth in range(1, 300)]
BOMB = [{"op": "copy", "from": "/data", "path": f"/data/{n}"} for n in range(60)]
PATCHES: dict[str, list[dict[str, Any]]] = {
    "no name": [remove("/metadata/name")],
    "an empty name": [put("/metadata/name", "")],
    "no metadata": [remove("/metadata")],
    "metadata that is none": [put("/metadata", None)],
    "metadata of another type": [put("/metadata", [1])],
    "labels of another type": [put("/metadata/labels", "text")],
    "another name": [put("/metadata/name", "other")],
    "another namespace": [put("/metadata/namespace", "kube-system")],
    "a path for a name": [put("/metadata/name", "../../secrets/s")],
    "no kind": [remove("/kind")],
    "another kind": [put("/kind", "Secret"), put("/apiVersion", "v1")],
    "data of another type": [put("/data", {"a": {"b": "c"}})],
    "nothing at all": [put("", None)],
    "a bomb": BOMB,
    "too much": [put(f"/data/{n}", "x" * 50_000) for n in range(40)],
    "too many operations": [put("/data/a", "x")] * 10_001,
}


@pytest.mark.parametrize("patch", PATCHES)
async def test_a_patch_that_must_not_be_changes_nothing(api: Api, patch: str) -> None:
    """Of an update: what is stored stays as it is. Of a creation: nothing else comes to be."""
    before = (await api("POST", MAPS, config_map("c"))).json
    async with serving(lambda r: json_patch(*PATCHES[patch])) as server:
        await register(api, "Mutating", hook(server, rule("configmaps"), failurePolicy="Ignore"))
        changed = await api("PATCH", f"{MAPS}/c", {"data": {"x": "y"}}, content_type=MERGE)
        made = await api("POST", MAPS, config_map("d"))
    after = (await api("GET", f"{MAPS}/c")).json
    assert 400 <= changed.code <= 500
    assert after == before
    assert made.code in (201, 400, 413, 422, 500)
    found = [item["metadata"] for item in (await api("GET", "/api/v1/configmaps")).json["items"]]
    ours = {(m["namespace"], m["name"]) for m in found if m["name"] != "extension-apiserver-authentication"}
    # what is being made has the name that a webhook gives it, as upstream, but stays where it belongs
    new = ("default", "other" if patch == "another name" else "d")
    assert ours == {("default", "c")} | ({new} if made.code == 201 else set())
    assert (await api("GET", "/api/v1/namespaces/default/secrets")).json["items"] == []


@pytest.mark.parametrize("path", ["/metadata/name", "/metadata"])
async def test_a_name_that_is_taken_away_is_missed(api: Api, path: str) -> None:
    assert (await api("POST", MAPS, config_map())).code == 201
    async with serving(lambda r: json_patch(remove(path))) as server:
        await register(api, "Mutating", hook(server, rule("configmaps", operations="UPDATE")))
        reply = await api("PATCH", f"{MAPS}/c", {"data": {"x": "y"}}, content_type=MERGE)
    assert (reply.code, reply.json["reason"]) == (422, "Invalid")
    assert [c["message"] for c in reply.json["details"]["causes"]] == [
        "Required value: name or generateName is required",
        'Invalid value: "": field is immutable',
    ]


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
async def test_what_is_moved_to_another_namespace_is_refused(api: Api, operation: str) -> None:
    if operation == "UPDATE":
        assert (await api("POST", MAPS, config_map())).code == 201
    async with serving(lambda r: json_patch(put("/metadata/namespace", "kube-system"))) as server:
        await register(api, "Mutating", hook(server, rule("configmaps", operations=operation)))
        if operation == "UPDATE":
            reply = await api("PATCH", f"{MAPS}/c", {"data": {"x": "y"}}, content_type=MERGE)
        else:
            reply = await api("POST", MAPS, config_map())
    assert (reply.code, "does not match the namespace" in reply.json["message"]) == (400, True)


async def test_what_has_no_namespace_is_given_none(api: Api) -> None:
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    async with serving(lambda r: json_patch(put("/metadata/namespace", "kube-system"))) as server:
        await register(api, "Mutating", hook(server, rule("clusterroles", group="rbac.authorization.k8s.io")))
        made = await api("POST", roles, {"metadata": {"name": "r"}})
        changed = await api("PATCH", f"{roles}/r", {"metadata": {"labels": {"a": "b"}}}, content_type=MERGE)
    assert (made.code, changed.code) == (201, 200)
    assert "namespace" not in changed.json["metadata"]


async def test_what_no_kind_has_is_pruned(api: Api) -> None:
    async with serving(lambda r: json_patch(*DEEP)) as server:
        await register(api, "Mutating", hook(server, rule("configmaps")))
        reply = await api("POST", MAPS, config_map())
    assert reply.code == 201
    assert "x" not in reply.json


@pytest.mark.parametrize(
    "operations",
    [
        [put("/spec/nodeName", "elsewhere")],
        [put("/spec/containers/0/name", "other")],
        [remove("/spec/containers")],
        [put("/spec/serviceAccountName", "another")],
    ],
)
async def test_fields_that_never_change_do_not_change_so(api: Api, operations: list[Any]) -> None:
    before = (await api("POST", PODS, pod())).json
    async with serving(lambda r: json_patch(*operations)) as server:
        await register(api, "Mutating", hook(server, rule("pods", operations="UPDATE")))
        change = {"metadata": {"labels": {"a": "b"}}}
        reply = await api("PATCH", f"{PODS}/p", change, content_type=MERGE)
    assert reply.code == 422
    assert (await api("GET", f"{PODS}/p")).json == before


async def test_system_metadata_is_not_a_webhooks(api: Api) -> None:
    """uid, creation, generation and owners of fields are as the server has them."""
    operations = [
        put("/metadata/managedFields", []),
        put("/metadata/generation", 99),
    ]
    async with serving(lambda r: json_patch(*operations)) as server:
        await register(api, "Mutating", hook(server, rule("configmaps", operations="UPDATE")))
        before = (await api("POST", MAPS, config_map())).json["metadata"]
        reply = await api("PATCH", f"{MAPS}/c", {"data": {"x": "y"}}, content_type=MERGE)
    after = reply.json["metadata"]
    assert (reply.code, after["uid"], after["creationTimestamp"]) == (
        200,
        before["uid"],
        before["creationTimestamp"],
    )
    assert "generation" not in after
    assert after["managedFields"]


async def test_no_webhook_ends_an_object(api: Api) -> None:
    operation = put("/metadata/deletionTimestamp", "2001-01-01T00:00:00Z")
    async with serving(lambda r: json_patch(operation)) as server:
        await register(api, "Mutating", hook(server, rule("configmaps", operations="UPDATE")))
        before = (await api("POST", MAPS, config_map())).json
        reply = await api("PATCH", f"{MAPS}/c", {"data": {"x": "y"}}, content_type=MERGE)
    assert (reply.code, reply.json["details"]["causes"][0]["field"]) == (422, "metadata.deletionTimestamp")
    assert (await api("GET", f"{MAPS}/c")).json == before


async def test_one_that_hangs_holds_nobody_else_up(api: Api) -> None:
    asked = asyncio.Event()

    async def hang(request: dict[str, Any]) -> Any:
        asked.set()
        await asyncio.sleep(30)

    async with serving(hang) as server, asyncio.TaskGroup() as group:
        one = hook(server, rule("configmaps"), timeoutSeconds=1, objectSelector={"matchLabels": {"a": "b"}})
        await register(api, "Mutating", one)
        waiting = group.create_task(api("POST", MAPS, config_map(labels={"a": "b"})))
        await asked.wait()
        for name in ("d", "e"):
            assert (await api("POST", MAPS, config_map(name))).code == 201
        assert (await api("GET", MAPS)).code == 200
        assert not waiting.done()
        assert (await waiting).code == 500


async def test_webhooks_that_ask_for_each_other_end(api: Api) -> None:
    """A webhook whose handling makes writes that it is asked about itself, and so on, ends at its timeout."""
    depth = 0

    async def write(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal depth
        depth += 1
        if depth < 50:
            await api("POST", MAPS, config_map(f"n{depth}"))
        return {"allowed": True}

    async with serving(write) as server:
        await register(api, "Validating", hook(server, rule("configmaps"), timeoutSeconds=1))
        async with asyncio.timeout(10):
            reply = await api("POST", MAPS, config_map())
    assert reply.code in (201, 500)
    assert depth <= 50


async def test_one_that_never_agrees_with_itself_is_asked_twice(api: Api) -> None:
    """Each answer changes the object, so each would bring another round."""
    count = 0

    def another(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal count
        count += 1
        return json_patch(put("/data/count", str(count)))

    async with serving(another) as server:
        hooks = [
            hook(server, rule("configmaps"), name=f"{name}.example.com", reinvocationPolicy="IfNeeded")
            for name in ("a", "b", "c")
        ]
        await register(api, "Mutating", *hooks)
        reply = await api("POST", MAPS, config_map())
    assert reply.code == 201
    assert count <= 2 * len(hooks)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"allowed": True, "warnings": ["\r\nX-Evil: 1", "a" * 9000, "\x00", "é\u2028"] * 20}, 201),
        ({"allowed": True, "warnings": [5]}, 500),
        ({"allowed": True, "auditAnnotations": {"\n": "x", "": "", "a/b": "c" * 99_999}}, 201),
        ({"allowed": True, "auditAnnotations": {"a": 1}}, 500),
        ({"allowed": False, "status": {"code": 200, "message": "\r\nX-Evil: 1"}}, 400),
        ({"allowed": False, "status": {"code": "x"}}, 500),
        ({"allowed": False, "status": {"reason": ["a"], "message": {"b": 1}}}, 500),
        ({"allowed": False, "status": {"details": 7}}, 500),
        ({"allowed": False, "status": {"details": {"causes": [7]}}}, 500),
        ({"allowed": False, "status": {"code": 10**9, "message": None}}, 400),
    ],
)
async def test_what_is_said_cannot_break_the_answer(api: Api, answer: dict[str, Any], code: int) -> None:
    async with serving(lambda r: answer) as server:
        await register(api, "Validating", hook(server, rule("configmaps")))
        reply = await api.answer("POST", MAPS, config_map())
    assert isinstance(reply, Response)
    assert reply.status == code
    lines = encode_fields(reply.headers).split(b"\r\n")
    assert len(lines) == len(reply.headers) + 1
    assert not any(line.startswith(b"X-Evil") or b"\n" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("é", b'299 - "\xc3\xa9"'),
        ("日本 🎉", '299 - "日本 🎉"'.encode()),
        ('a "b" \\', b'299 - "a \\"b\\" \\\\"'),
        ("a\nb\x85c", b'299 - "a b c"'),
    ],
)
async def test_warnings_are_sent_in_utf_8(api: Api, text: str, wanted: bytes) -> None:
    async with serving(lambda r: {"allowed": True, "warnings": [text]}) as server:
        await register(api, "Validating", hook(server, rule("configmaps")))
        reply = await api.answer("POST", MAPS, config_map())
    assert isinstance(reply, Response)
    assert b"Warning: " + wanted + b"\r\n" in encode_fields(reply.headers)
