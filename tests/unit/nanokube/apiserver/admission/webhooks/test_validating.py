"""Validating webhooks: what they are asked, what they answer, and what happens when they do not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.nanokube.apiserver.admission.webhooks.conftest import (
    NAMESPACE,
    ROOT,
    config_map,
    hook,
    register,
    rule,
)
from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod
from tests.unit.nanokube.apiserver.hookserver import serving

MAPS = f"{NAMESPACE}/configmaps"


def allow(request: dict[str, Any]) -> Any:
    return {"allowed": True}


async def test_the_request_says_who_does_what(api: Api) -> None:
    async with serving(allow) as server:
        await register(api, "Validating", hook(server, rule("configmaps")))
        headers = {"user-agent": "kubectl/1"}
        target = f"{MAPS}?fieldManager=me&fieldValidation=Strict"
        assert (await api("POST", target, config_map(), headers=headers)).code == 201
        change = {"data": {"a": "c"}}
        media = "application/merge-patch+json"
        assert (await api("PATCH", f"{MAPS}/c?dryRun=All", change, content_type=media)).code == 200
        assert (await api("DELETE", f"{MAPS}/c", {"gracePeriodSeconds": 3})).code == 200
        created, patched, deleted = server.requests
    assert len(created.pop("uid")) == 36
    obj = created.pop("object")
    assert (obj["apiVersion"], obj["kind"], obj["data"]) == ("v1", "ConfigMap", {"a": "b"})
    assert obj["metadata"]["uid"]
    about = {"group": "", "version": "v1", "kind": "ConfigMap"}
    where = {"group": "", "version": "v1", "resource": "configmaps"}
    assert created == {
        "kind": about,
        "resource": where,
        "requestKind": about,
        "requestResource": where,
        "name": "c",
        "namespace": "default",
        "operation": "CREATE",
        "userInfo": {"username": "admin", "groups": ["system:masters", "system:authenticated"]},
        "oldObject": None,
        "dryRun": False,
        "options": {
            "kind": "CreateOptions",
            "apiVersion": "meta.k8s.io/v1",
            "fieldManager": "me",
            "fieldValidation": "Strict",
        },
    }
    assert (patched["operation"], patched["dryRun"]) == ("UPDATE", True)
    assert patched["object"]["data"] == {"a": "c"}
    assert patched["oldObject"]["data"] == {"a": "b"}
    assert patched["oldObject"]["metadata"]["resourceVersion"]
    assert patched["options"]["dryRun"] == ["All"]
    assert (deleted["operation"], deleted["object"]) == ("DELETE", None)
    assert deleted["oldObject"]["data"] == {"a": "b"}
    assert deleted["options"]["gracePeriodSeconds"] == 3


@pytest.mark.parametrize(
    ("status", "code", "reason", "message"),
    [
        (
            {"message": "no", "code": 418},
            418,
            None,
            'admission webhook "h.example.com" denied the request: no',
        ),
        ({"reason": "Nope"}, 400, "Nope", 'admission webhook "h.example.com" denied the request: Nope'),
        (None, 400, None, 'admission webhook "h.example.com" denied the request without explanation'),
        (
            {"message": "no", "code": 200},
            400,
            None,
            'admission webhook "h.example.com" denied the request: no',
        ),
    ],
)
async def test_a_refusal(api: Api, status: Any, code: int, reason: str | None, message: str) -> None:
    answer = {"allowed": False, "status": status, "warnings": ['be "careful"']}
    async with serving(lambda r: answer) as server:
        await register(api, "Validating", hook(server, rule("configmaps")))
        reply = await api("POST", MAPS, config_map())
    assert (reply.code, reply.json["message"], reply.json.get("reason")) == (code, message, reason)
    assert reply.headers.get("warning") == '299 - "be \\"careful\\""'
    assert (await api("GET", f"{MAPS}/c")).code == 404


async def test_warnings_of_one_that_allows(api: Api) -> None:
    async with serving(lambda r: {"allowed": True, "warnings": ["old"]}) as server:
        await register(api, "Validating", hook(server, rule("configmaps")))
        assert (await api("POST", MAPS, config_map())).headers.get("warning") == '299 - "old"'
        assert (await api("DELETE", f"{MAPS}/c")).headers.get("warning") == '299 - "old"'


async def _slow() -> Any:
    await asyncio.sleep(30)


FAULTS = {
    "slow": (lambda r: _slow(), "context deadline exceeded"),
    "garbage": (lambda r: b"\x00garbage", "json parse error"),
    "empty": (lambda r: b"", "json parse error"),
    "not an object": (lambda r: b"[1]", "not an object"),
    "no response": (lambda r: b'{"kind":"AdmissionReview"}', "webhook response was absent"),
    "lying uid": (lambda r: {"uid": "x", "allowed": True}, 'expected response.uid="'),
    "wrong type": (lambda r: {"allowed": "yes"}, "allowed is of the wrong type"),
    "patch": (
        lambda r: {"allowed": True, "patch": "W10="},
        "validating webhook may not return response.patch",
    ),
    "huge": (lambda r: b"[" * (9 << 20), "longer than"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_bad_webhook_is_ignored_or_refuses(api: Api, fault: str) -> None:
    answer, words = FAULTS[fault]
    async with serving(answer) as server:
        one = hook(server, rule("configmaps"), timeoutSeconds=1)
        await register(api, "Validating", one)
        reply = await api("POST", MAPS, config_map())
        assert reply.code == 500
        assert reply.json["message"].startswith(
            'Internal error occurred: failed calling webhook "h.example.com": '
        )
        assert words in reply.json["message"]
        assert (await api("GET", f"{MAPS}/c")).code == 404
        path = f"{ROOT}/validatingwebhookconfigurations/hooks"
        change = [{"op": "add", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]
        media = "application/json-patch+json"
        assert (await api("PATCH", path, change, content_type=media)).code == 200
        assert (await api("POST", MAPS, config_map())).code == 201


async def test_nobody_there(api: Api) -> None:
    async with serving(allow) as server:
        pass
    await register(api, "Validating", hook(server, rule("configmaps")))
    reply = await api("POST", MAPS, config_map())
    assert "connect: connection refused" in reply.json["message"]


async def test_a_configuration_can_always_be_taken_away(api: Api) -> None:
    async with serving(lambda r: {"allowed": False}) as server:
        await register(api, "Validating", hook(server, rule("*/*", group="*")))
        assert (await api("POST", MAPS, config_map())).code == 400
        path = f"{ROOT}/validatingwebhookconfigurations/hooks"
        assert (
            await api(
                "PATCH",
                path,
                {"metadata": {"labels": {"a": "b"}}},
                content_type="application/merge-patch+json",
            )
        ).code == 200
        assert (await api("DELETE", path)).code == 200
        assert (await api("POST", MAPS, config_map())).code == 201


async def test_side_effects_and_dry_runs(api: Api) -> None:
    async with serving(allow) as server:
        await register(api, "Validating", hook(server, rule("configmaps"), sideEffects="None"))
        await _force_side_effects(api)
        reply = await api("POST", f"{MAPS}?dryRun=All", config_map())
        message = 'admission webhook "h.example.com" does not support dry run'
        assert (reply.code, reply.json["message"]) == (400, message)
        assert server.requests == []


async def _force_side_effects(api: Api) -> None:
    """Store what validation refuses since v1: webhooks of old clusters have it."""
    import orjson

    key = "/registry/validatingwebhookconfigurations.admissionregistration.k8s.io/hooks"
    entry = (await api.store.range(key, key + "\0")).entries[0]
    tree = orjson.loads(entry.value)
    tree["webhooks"][0]["sideEffects"] = "Some"
    await api.store.put(key, orjson.dumps(tree), expect=entry.mod_revision)


@pytest.mark.parametrize(
    ("rules", "is_asked"),
    [
        ([rule("configmaps")], True),
        ([rule("*")], True),
        ([rule("*/*")], True),
        ([rule("configmaps/*")], True),
        ([rule("configmaps/status")], False),
        ([rule("secrets"), rule("configmaps")], True),
        ([rule("configmaps", group="apps")], False),
        ([rule("configmaps", group="*")], True),
        ([rule("configmaps", version="v2")], False),
        ([rule("configmaps", operations="UPDATE,DELETE")], False),
        ([{**rule("configmaps"), "scope": "Cluster"}], False),
        ([{**rule("configmaps"), "scope": "Namespaced"}], True),
        ([], False),
    ],
)
async def test_rules(api: Api, rules: list[dict[str, Any]], is_asked: bool) -> None:
    async with serving(allow) as server:
        await register(api, "Validating", hook(server, *rules))
        assert (await api("POST", MAPS, config_map())).code == 201
        assert bool(server.requests) == is_asked


async def test_selectors(api: Api) -> None:
    async with serving(allow) as server:
        one = hook(
            server,
            rule("configmaps", "namespaces", "nodes"),
            namespaceSelector={"matchLabels": {"kind": "asked"}},
            objectSelector={"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]},
        )
        await register(api, "Validating", one)
        spaces = "/api/v1/namespaces"
        labels = {"labels": {"kind": "asked"}}
        assert (await api("POST", spaces, {"metadata": {"name": "asked", **labels}})).code == 201
        assert (await api("POST", spaces, {"metadata": {"name": "other"}})).code == 201
        assert [r["name"] for r in server.requests] == ["asked"]
        assert server.requests[0]["namespace"] == "asked"
        server.requests.clear()
        for space in ("asked", "other"):
            assert (await api("POST", f"{spaces}/{space}/configmaps", config_map())).code == 201
        skipped = config_map("d", labels={"skip": "x"})
        assert (await api("POST", f"{spaces}/asked/configmaps", skipped)).code == 201
        assert [(r["namespace"], r["name"]) for r in server.requests] == [("asked", "c")]
        server.requests.clear()
        assert (await api("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})).code == 201
        assert [r["name"] for r in server.requests] == ["n"]  # cluster-scoped: never exempted


async def test_each_object_of_a_collection_is_asked_about(api: Api) -> None:
    async with serving(lambda r: {"allowed": r["name"] != "keep"}) as server:
        await register(api, "Validating", hook(server, rule("configmaps", operations="DELETE")))
        for name in ("a", "keep"):
            assert (await api("POST", MAPS, config_map(name))).code == 201
        assert (await api("DELETE", MAPS)).code == 400
        assert {r["name"] for r in server.requests} == {"a", "keep"}
        assert [i["metadata"]["name"] for i in (await api("GET", MAPS)).json["items"]] == ["keep"]


async def test_another_version_of_the_same(api: Api) -> None:
    hpa = {
        "metadata": {"name": "h"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
            "maxReplicas": 3,
            "targetCPUUtilizationPercentage": 70,
        },
    }
    path = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    async with serving(allow) as server:
        only = rule("horizontalpodautoscalers", group="autoscaling", version="v2")
        exact = hook(server, only, name="exact.example.com", matchPolicy="Exact")
        await register(api, "Validating", hook(server, only), exact)
        assert (await api("POST", path, hpa)).code == 201
        (request,) = server.requests
    assert request["kind"]["version"] == request["resource"]["version"] == "v2"
    assert request["requestKind"]["version"] == request["requestResource"]["version"] == "v1"
    assert request["object"]["apiVersion"] == "autoscaling/v2"
    assert request["object"]["spec"]["metrics"][0]["resource"]["name"] == "cpu"


async def test_subresources_are_shown_what_was_posted(api: Api) -> None:
    assert (await api("POST", PODS, pod())).code == 201
    async with serving(allow) as server:
        await register(api, "Validating", hook(server, rule("pods/*"), rule("serviceaccounts/token")))
        binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
        assert (await api("POST", f"{PODS}/p/binding", binding)).code == 201
        status = {"status": {"phase": "Running"}}
        media = "application/merge-patch+json"
        assert (await api("PATCH", f"{PODS}/p/status", status, content_type=media)).code == 200
        account = f"{NAMESPACE}/serviceaccounts/default/token"
        assert (await api("POST", account, {"spec": {}})).code == 201
        assert (await api("POST", f"{PODS}/p/eviction", {"metadata": {"name": "p"}})).code == 201
        found = [(r["operation"], r["kind"]["kind"], r.get("subResource")) for r in server.requests]
        kinds = [r["object"]["kind"] for r in server.requests]
    expected = [
        ("CREATE", "Binding", "binding"),
        ("UPDATE", "Pod", "status"),
        ("CREATE", "TokenRequest", "token"),
        ("CREATE", "Eviction", "eviction"),
    ]
    assert sorted(found) == sorted([*expected, ("DELETE", "Pod", None)]) or found == expected
    assert kinds[0] == "Binding"
    assert server.requests[0]["object"]["target"] == {"kind": "Node", "name": "n"}


async def test_a_connection(api: Api) -> None:
    assert (await api("POST", PODS, pod())).code == 201
    answer = {"allowed": False, "status": {"message": "attaching is not allowed"}}
    async with serving(lambda r: answer) as server:
        await register(api, "Validating", hook(server, rule("pods/exec", operations="CONNECT")))
        reply = await api("POST", f"{PODS}/p/exec?command=ls&command=-l&stdin=true&stdout=1&container=c")
        (request,) = server.requests
    assert "denied the request: attaching is not allowed" in reply.json["message"]
    assert (request["operation"], request["subResource"]) == ("CONNECT", "exec")
    assert request["object"] == {
        "kind": "PodExecOptions",
        "apiVersion": "v1",
        "stdin": True,
        "stdout": True,
        "container": "c",
        "command": ["ls", "-l"],
    }


async def test_v1beta1(api: Api) -> None:
    async with serving(lambda r: {"uid": "lie", "allowed": True}) as server:
        one = hook(server, rule("configmaps"), admissionReviewVersions=["v9", "v1beta1", "v1"])
        await register(api, "Validating", one)
        assert (await api("POST", MAPS, config_map())).code == 201


async def test_all_are_asked_at_once(api: Api) -> None:
    barrier = asyncio.Barrier(3)

    async def wait() -> Any:
        await barrier.wait()
        return {"allowed": True}

    async with serving(lambda r: wait()) as server:
        hooks = [hook(server, rule("configmaps"), name=f"h{i}.example.com") for i in range(3)]
        await register(api, "Validating", *hooks)
        assert (await api("POST", MAPS, config_map())).code == 201


async def test_the_servers_own_writes_ask_nobody(api: Api) -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "10"}}}
    path = f"{NAMESPACE}/resourcequotas"
    assert (await api("POST", path, quota)).code == 201
    status = {"status": {"hard": {"configmaps": "10"}, "used": {"configmaps": "0"}}}
    media = "application/merge-patch+json"
    assert (await api("PATCH", f"{path}/q/status", status, content_type=media)).code == 200
    async with serving(lambda r: {"allowed": r["resource"]["resource"] == "configmaps"}) as server:
        await register(api, "Validating", hook(server, rule("*/*")))
        assert (await api("POST", MAPS, config_map())).code == 201
        assert [r["resource"]["resource"] for r in server.requests] == ["configmaps"]


@pytest.mark.parametrize(
    ("conditions", "is_asked"),
    [
        (["object.data.a == 'b'"], True),
        (["object.data.a == 'c'"], False),
        (["request.userInfo.username == 'admin'", "request.namespace == 'default'"], True),
        (["oldObject == null", "request.operation == 'CREATE'"], True),
        (["object.data.missing == 'x'", "false"], False),  # one that is false decides
        (["authorizer.requestResource.check('create').allowed()"], True),
        (
            ["authorizer.serviceAccount('default', 'x').group('').resource('pods').check('get').allowed()"],
            False,
        ),
        (["request.options.fieldManager == 'me'"], True),
        (["namespaceObject.metadata.name == 'default'"], True),
    ],
)
async def test_match_conditions(api: Api, conditions: list[str], is_asked: bool) -> None:
    found = [{"name": f"c{i}", "expression": text} for i, text in enumerate(conditions)]
    async with serving(allow) as server:
        await register(api, "Validating", hook(server, rule("configmaps"), matchConditions=found))
        assert (await api("POST", f"{MAPS}?fieldManager=me", config_map())).code == 201
        assert bool(server.requests) == is_asked


async def test_a_condition_that_nobody_can_tell(api: Api) -> None:
    condition = [{"name": "c", "expression": "object.data.missing == 'x'"}]
    async with serving(allow) as server:
        one = hook(server, rule("configmaps"), matchConditions=condition)
        await register(api, "Validating", one)
        reply = await api("POST", MAPS, config_map())
        assert reply.code == 403
        assert "resulted in error: no such key: missing" in reply.json["message"]
        change = [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]
        path = f"{ROOT}/validatingwebhookconfigurations/hooks"
        await api("PATCH", path, change, content_type="application/json-patch+json")
        assert (await api("POST", MAPS, config_map())).code == 201
        assert server.requests == []


async def test_match_conditions_are_counted(api: Api) -> None:
    wrong, no = "object.data.missing == 'x'", "object.metadata.name == 'd'"
    found = [{"name": f"c{i}", "expression": text} for i, text in enumerate((wrong, no))]
    async with serving(allow) as server:
        await register(api, "Validating", hook(server, rule("configmaps"), matchConditions=found))
        for name in ("c", "d"):
            await api("POST", MAPS, config_map(name))
    shown = (await api("GET", "/metrics")).body.decode()
    labels = '{kind="webhook",name="h.example.com",operation="CREATE",type="validating"}'
    prefix = "apiserver_admission_match_condition_"
    for name, value in (
        ("evaluation_seconds_count", 2),
        ("evaluation_errors_total", 2),
        ("exclusions_total", 1),
    ):
        assert f"{prefix}{name}{labels} {value}.0\n" in shown
