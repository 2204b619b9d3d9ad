"""Mutating webhooks: what becomes of the object."""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
import pytest

from tests.unit.nanokube.apiserver.admission.webhooks.conftest import (
    NAMESPACE,
    config_map,
    hook,
    register,
    rule,
)
from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod
from tests.unit.nanokube.apiserver.custom_kinds import GADGETS, define, definition, gadget, lively, version
from tests.unit.nanokube.apiserver.hookserver import json_patch, serving

MAPS = f"{NAMESPACE}/configmaps"


def set_(path: str, value: Any, op: str = "add") -> dict[str, Any]:
    return {"op": op, "path": path, "value": value}


async def test_a_patch_is_done_pruned_and_completed(api: Api) -> None:
    container = {"name": "d", "image": "busybox:2", "bogus": 1, "ports": [{"containerPort": 80}]}
    async with serving(lambda r: json_patch(set_("/spec/containers/-", container))) as server:
        await register(api, "Mutating", hook(server, rule("pods", operations="CREATE")))
        reply = await api("POST", PODS, pod())
    assert reply.code == 201
    added = reply.json["spec"]["containers"][1]
    assert "bogus" not in added
    assert added["imagePullPolicy"] == "IfNotPresent"
    assert added["ports"][0]["protocol"] == "TCP"
    fields = orjson.dumps(reply.json["metadata"]["managedFields"]).decode()
    assert '{\\"name\\":\\"d\\"}' not in fields


async def test_what_it_makes_is_validated(api: Api) -> None:
    async with serving(lambda r: json_patch(set_("/spec/containers/0/name", "Bad Name"))) as server:
        await register(api, "Mutating", hook(server, rule("pods", operations="CREATE")))
        reply = await api("POST", PODS, pod())
    assert reply.code == 422
    assert "spec.containers[0].name" in reply.json["message"]


@pytest.mark.parametrize(
    "operation",
    [
        set_("/kind", "Secret"),
        set_("/data", "text"),
        set_("", []),
        set_("/nowhere/at/all", 1),
        {"op": "dance", "path": "/data"},
    ],
)
async def test_a_patch_that_cannot_be_done_refuses(api: Api, operation: dict[str, Any]) -> None:
    async with serving(lambda r: json_patch(operation)) as server:
        await register(api, "Mutating", hook(server, rule("configmaps"), failurePolicy="Ignore"))
        reply = await api("POST", MAPS, config_map())
        assert reply.code == 500
        assert (await api("GET", f"{MAPS}/c")).code == 404


@pytest.mark.parametrize(
    "answer",
    [
        {"allowed": True, "patch": "W10="},
        {"allowed": True, "patchType": "JSONPatch"},
        {"allowed": True, "patch": "e30=", "patchType": "Merge"},
        {"allowed": True, "patch": "!", "patchType": "JSONPatch"},
        {"allowed": True, "patch": "e30=", "patchType": "JSONPatch"},
    ],
)
async def test_an_answer_that_is_none_obeys_the_failure_policy(api: Api, answer: dict[str, Any]) -> None:
    async with serving(lambda r: answer) as server:
        one = hook(server, rule("configmaps"))
        await register(api, "Mutating", one)
        reply = await api("POST", MAPS, config_map())
        assert (reply.code, "failed calling webhook" in reply.json["message"]) == (500, True)
        path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/hooks"
        change = [set_("/webhooks/0/failurePolicy", "Ignore")]
        await api("PATCH", path, change, content_type="application/json-patch+json")
        assert (await api("POST", MAPS, config_map())).code == 201


def _set_metadata(key: str, value: str, request: dict[str, Any]) -> Any:
    return json_patch(set_(f"/metadata/{key}", value))


async def test_identity_cannot_be_changed(api: Api) -> None:
    assert (await api("POST", MAPS, config_map())).code == 201
    changes = {"namespace": "other", "name": "other", "uid": "x"}
    for key, value in changes.items():
        async with serving(partial(_set_metadata, key, value)) as server:
            one = hook(server, rule("configmaps", operations="UPDATE"))
            await register(api, "Mutating", one, name=key)
            media = "application/merge-patch+json"
            reply = await api("PATCH", f"{MAPS}/c", {"data": {"x": "y"}}, content_type=media)
            assert 400 <= reply.code <= 500
            root = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
            assert (await api("DELETE", f"{root}/{key}")).code == 200
    assert (await api("GET", f"{MAPS}/c")).json["data"] == {"a": "b"}


async def test_an_update_of_the_spec_cannot_change_the_status(api: Api) -> None:
    assert (await api("POST", PODS, pod())).code == 201

    def answer(request: dict[str, Any]) -> Any:
        operations = [set_("/status/phase", "Failed"), set_("/metadata/labels/x", "y")]
        return json_patch(*operations)

    async with serving(answer) as server:
        await register(api, "Mutating", hook(server, rule("pods", operations="UPDATE")))
        change = {"metadata": {"labels": {"z": "z"}}}
        reply = await api("PATCH", f"{PODS}/p", change, content_type="application/merge-patch+json")
    assert reply.json["metadata"]["labels"] == {"app": "p", "x": "y", "z": "z"}
    assert reply.json["status"]["phase"] == "Pending"


async def test_they_go_in_order_of_names_and_see_each_other(api: Api) -> None:
    def answer(request: dict[str, Any]) -> Any:
        count = len(request["object"]["data"])
        return json_patch(set_(f"/data/n{count}", str(count)))

    async with serving(answer) as server:
        for name in ("b", "a"):
            await register(api, "Mutating", hook(server, rule("configmaps"), name=f"{name}.x.y"), name=name)
        reply = await api("POST", MAPS, config_map())
    assert reply.json["data"] == {"a": "b", "n1": "1", "n2": "2"}


async def test_who_wants_to_is_asked_again_after_a_change(api: Api) -> None:
    asked: list[str] = []

    def answer(who: str) -> Any:
        def reply(request: dict[str, Any]) -> Any:
            asked.append(who)
            return json_patch(set_(f"/data/{who}", f"x{len(asked)}"))

        return reply

    rules = rule("configmaps")
    async with serving(answer("first")) as first, serving(answer("second")) as second:
        again = hook(first, rules, name="first.x.y", reinvocationPolicy="IfNeeded")
        await register(api, "Mutating", again, hook(second, rules, name="second.x.y"))
        reply = await api("POST", MAPS, config_map())
    assert asked == ["first", "second", "first"]
    assert reply.json["data"] == {"a": "b", "first": "x3", "second": "x2"}


async def test_who_changes_nothing_brings_no_second_round(api: Api) -> None:
    async with serving(lambda r: json_patch(set_("/data/a", "b"))) as server:
        again = hook(server, rule("configmaps"), reinvocationPolicy="IfNeeded")
        await register(api, "Mutating", again)
        assert (await api("POST", MAPS, config_map())).code == 201
        assert len(server.requests) == 1


async def test_a_deletion_has_nothing_to_patch(api: Api) -> None:
    assert (await api("POST", MAPS, config_map())).code == 201
    async with serving(lambda r: json_patch(set_("/data/x", "y"))) as server:
        await register(api, "Mutating", hook(server, rule("configmaps", operations="DELETE")))
        reply = await api("DELETE", f"{MAPS}/c")
    assert reply.code == 500
    assert "attempted to modify the object" in reply.json["message"]


async def test_in_another_version(api: Api) -> None:
    path = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    target = {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
    async with serving(lambda r: json_patch(set_("/spec/maxReplicas", 9))) as server:
        only = rule("horizontalpodautoscalers", group="autoscaling", version="v1")
        await register(api, "Mutating", hook(server, only))
        spec = {"scaleTargetRef": target, "maxReplicas": 3}
        both = (path, path.replace("v1", "v2"))
        for number, place in enumerate(both):
            reply = await api("POST", place, {"metadata": {"name": f"h{number}"}, "spec": spec})
            assert (reply.code, reply.json["spec"]["maxReplicas"]) == (201, 9)
        assert [r["object"]["apiVersion"] for r in server.requests] == ["autoscaling/v1"] * 2
        assert [r["requestKind"]["version"] for r in server.requests] == ["v1", "v2"]


async def test_a_scale(api: Api) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments"
    labels = {"app": "d"}
    template = {"metadata": {"labels": labels}, "spec": pod()["spec"]}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    assert (await api("POST", path, {"metadata": {"name": "d"}, "spec": spec})).code == 201
    async with serving(lambda r: json_patch(set_("/spec/replicas", 5))) as server:
        await register(api, "Mutating", hook(server, rule("deployments/scale", group="apps")))
        change = {"spec": {"replicas": 2}}
        reply = await api("PATCH", f"{path}/d/scale", change, content_type="application/merge-patch+json")
        (request,) = server.requests
    assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert (request["object"]["spec"], request["oldObject"]["spec"]) == ({"replicas": 2}, {"replicas": 1})
    assert reply.json["spec"]["replicas"] == 5


async def test_a_scale_of_a_custom_kind(api: Api) -> None:
    """Its definition says where the replicas are."""
    size = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"}
    async with lively(api):
        await define(api, definition(version("v1", subresources={"scale": size})))
        assert (await api("POST", GADGETS, gadget(size=1))).code == 201
        async with serving(lambda r: json_patch(set_("/spec/replicas", 5))) as server:
            await register(api, "Mutating", hook(server, rule("gadgets/scale", group="example.com")))
            change = {"spec": {"replicas": 2}}
            merge = "application/merge-patch+json"
            reply = await api("PATCH", f"{GADGETS}/a/scale", change, content_type=merge)
            (request,) = server.requests
        found = (await api("GET", f"{GADGETS}/a")).json
    assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert (request["object"]["spec"], request["oldObject"]["spec"]) == ({"replicas": 2}, {"replicas": 1})
    assert (reply.code, reply.json["spec"]) == (200, {"replicas": 5})
    assert found["spec"] == {"color": "red", "size": 5}


async def test_two_writers_and_a_webhook_lose_nothing(api: Api) -> None:
    """A write that was overtaken while a webhook was asked is done again on the newer object."""
    assert (await api("POST", MAPS, config_map())).code == 201

    async def answer(request: dict[str, Any]) -> Any:
        if len(server.requests) == 1:
            other = {"data": {"other": "x"}}
            await api("PATCH", f"{MAPS}/c", other, content_type="application/merge-patch+json")
        return json_patch(set_("/data/hook", str(len(server.requests))))

    async with serving(lambda r: answer(r)) as server:
        await register(api, "Mutating", hook(server, rule("configmaps", operations="UPDATE")))
        change = {"data": {"mine": "y"}}
        reply = await api("PATCH", f"{MAPS}/c", change, content_type="application/merge-patch+json")
    assert reply.json["data"] == {"a": "b", "other": "x", "mine": "y", "hook": "3"}
