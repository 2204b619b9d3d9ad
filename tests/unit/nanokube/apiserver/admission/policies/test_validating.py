"""ValidatingAdmissionPolicy: what is refused, warned of, noted."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.apiserver.admission.policies import validating
from tests.unit.nanokube.apiserver.admission.policies.conftest import (
    MAPS,
    MERGE,
    NAMESPACE,
    ROOT,
    bind,
    check,
    config_map,
    match,
)
from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod

ABOUT = "ValidatingAdmissionPolicy 'p' with binding 'p-b'"


async def test_a_refusal(api: Api) -> None:
    await bind(api, "validating", check("object.data.a == 'x'"))
    reply = await api("POST", MAPS, config_map())
    message = f"{ABOUT} denied request: failed expression: object.data.a == 'x'"
    assert reply.code == 422
    assert reply.json["message"] == f'configmaps "c" is forbidden: {message}'
    assert reply.json["reason"] == "Invalid"
    assert reply.json["details"] == {"name": "c", "kind": "configmaps", "causes": [{"message": message}]}
    assert (await api("POST", MAPS, config_map(data={"a": "x"}))).code == 201


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"message": " not so "}, 422, "denied request: not so"),
        ({"messageExpression": "'it is ' + object.data.a"}, 422, "denied request: it is b"),
        ({"messageExpression": "string(object.data.missing)", "message": "m"}, 422, "denied request: m"),
        ({"messageExpression": "'two\\nlines'"}, 422, "denied request: failed expression: false"),
        ({"reason": "Forbidden"}, 403, "failed expression: false"),
        ({"reason": "RequestEntityTooLarge"}, 413, "failed expression: false"),
    ],
)
async def test_messages_and_reasons(api: Api, fields: dict[str, Any], code: int, words: str) -> None:
    await bind(api, "validating", check("false", **fields))
    reply = await api("POST", MAPS, config_map())
    assert reply.code == code
    assert reply.json["message"].endswith(words)


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("request.operation == 'CREATE' && oldObject == null", True),
        ("request.userInfo.groups.exists(g, g == 'system:masters')", True),
        ("request.resource.resource == 'configmaps' && request.kind.kind == 'ConfigMap'", True),
        ("request.requestResource.version == 'v1' && !request.dryRun", True),
        ("namespaceObject.metadata.name == request.namespace", True),
        ("namespaceObject.metadata.creationTimestamp < timestamp('2100-01-01T00:00:00Z')", True),
        ("authorizer.group('').resource('pods').namespace('default').check('create').allowed()", True),
        ("authorizer.requestResource.check('delete').allowed()", True),
        ("authorizer.path('/healthz').check('get').allowed()", True),
        ("object.metadata.?labels[?'x'].orValue('none') == 'none'", True),
        ("quantity('1Gi').isGreaterThan(quantity('1Mi'))", True),
        ("variables.letters.all(l, l in ['a', 'b']) && variables.count == 2", True),
        ("has(object.metadata.labels)", False),
    ],
)
async def test_variables(api: Api, expression: str, holds: bool) -> None:
    variables = [
        {"name": "letters", "expression": "object.data.map(k, k) + ['b']"},
        {"name": "count", "expression": "size(variables.letters)"},
    ]
    await bind(api, "validating", {"variables": variables, **check(expression)})
    reply = await api("POST", MAPS, config_map())
    assert (reply.code == 201) == holds, reply.json


async def test_updates_and_deletions_have_the_old_object(api: Api) -> None:
    assert (await api("POST", MAPS, config_map())).code == 201
    await bind(api, "validating", check("object == null || object.data.a == oldObject.data.a"))
    assert (await api("PATCH", f"{MAPS}/c", {"data": {"a": "c"}}, content_type=MERGE)).code == 422
    assert (await api("PATCH", f"{MAPS}/c", {"data": {"d": "c"}}, content_type=MERGE)).code == 200
    assert (await api("DELETE", f"{MAPS}/c")).code == 200


async def test_warnings_and_notes(api: Api) -> None:
    await bind(api, "validating", check("false", message="too old"), actions=["Warn", "Audit"])
    reply = await api("POST", MAPS, config_map())
    assert reply.code == 201
    assert reply.headers.get("warning") == f'299 - "Validation failed for {ABOUT}: too old"'


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_errors(api: Api, policy: str) -> None:
    await bind(api, "validating", {"failurePolicy": policy, **check("object.data.missing == 'x'")})
    reply = await api("POST", MAPS, config_map())
    if policy == "Ignore":
        assert reply.code == 201
        return
    assert reply.code == 422
    words = "expression 'object.data.missing == 'x'' resulted in error: no such key: missing"
    assert reply.json["message"].endswith(f"{ABOUT} denied request: {words}")


@pytest.mark.parametrize(
    ("conditions", "is_asked"),
    [
        (["object.metadata.name == 'c'"], True),
        (["object.metadata.name == 'd'"], False),
        (["has(object.metadata.labels) && object.metadata.labels['team'] == 'x'"], False),
        (["object.metadata.labels.team == 'x'", "false"], False),
        (["object.metadata.labels.team == 'x'"], True),  # an error refuses
        (["request.namespace in ['default', 'other']", "object.data.a.startsWith('b')"], True),
    ],
)
async def test_match_conditions(api: Api, conditions: list[str], is_asked: bool) -> None:
    found = [{"name": f"c{i}", "expression": text} for i, text in enumerate(conditions)]
    await bind(api, "validating", {"matchConditions": found, **check("false")})
    assert (await api("POST", MAPS, config_map())).code == (422 if is_asked else 201)


async def test_what_a_policy_and_its_binding_are_about(api: Api) -> None:
    constraints = {
        **match("configmaps", "secrets"),
        "excludeResourceRules": match("secrets")["resourceRules"],
        "objectSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]},
    }
    constraints["resourceRules"][0]["resourceNames"] = ["c", "d"]
    resources = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}
    await bind(
        api, "validating", {"matchConstraints": constraints, **check("false")}, matchResources=resources
    )
    assert (await api("POST", MAPS, config_map("c"))).code == 422
    assert (await api("POST", MAPS, config_map("other"))).code == 201
    assert (await api("POST", MAPS, config_map("d", labels={"skip": ""}))).code == 201
    assert (await api("POST", f"{NAMESPACE}/secrets", {"metadata": {"name": "c"}})).code == 201
    assert (await api("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})).code == 201
    assert (await api("POST", "/api/v1/namespaces/n/configmaps", config_map("c"))).code == 201


PARAMS = {
    "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
    "matchConstraints": match("secrets"),
    **check("object.metadata.name != params.data.name", messageExpression="'not ' + params.data.name"),
}


@pytest.mark.parametrize(
    ("ref", "names"),
    [
        ({"name": "one"}, ["x"]),
        ({"selector": {}}, ["x", "y"]),
        ({"selector": {"matchLabels": {"k": "y"}}}, ["y"]),
        ({"name": "one", "namespace": "kube-system"}, ["z"]),
    ],
)
async def test_parameters(api: Api, ref: dict[str, Any], names: list[str]) -> None:
    made = [("default", "one", "x"), ("default", "two", "y"), ("kube-system", "one", "z")]
    for namespace, name, value in made:
        body = config_map(name, {"name": value}, labels={"k": value})
        assert (await api("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)).code == 201
    await bind(api, "validating", PARAMS, paramRef={"parameterNotFoundAction": "Deny", **ref})
    for name in ("x", "y", "z"):
        reply = await api("POST", f"{NAMESPACE}/secrets", {"metadata": {"name": name}})
        assert reply.code == (422 if name in names else 201)
        if name in names:
            assert reply.json["message"].endswith(f"denied request: not {name}")


@pytest.mark.parametrize(("action", "code"), [("Deny", 422), ("Allow", 201)])
async def test_parameters_that_are_not_there(api: Api, action: str, code: int) -> None:
    await bind(api, "validating", PARAMS, paramRef={"name": "no", "parameterNotFoundAction": action})
    reply = await api("POST", f"{NAMESPACE}/secrets", {"metadata": {"name": "x"}})
    assert reply.code == code
    if code == 422:
        words = "failed to configure binding: no params found for policy binding with `Deny` "
        assert f"{ABOUT} denied request: {words}" in reply.json["message"]


async def test_a_kind_of_parameters_that_nobody_knows(api: Api) -> None:
    spec = {**PARAMS, "paramKind": {"apiVersion": "x.example.com/v1", "kind": "X"}}
    await bind(api, "validating", spec, paramRef={"name": "no", "parameterNotFoundAction": "Allow"})
    reply = await api("POST", f"{NAMESPACE}/secrets", {"metadata": {"name": "x"}})
    assert (reply.code, "failed to configure binding" in reply.json["message"]) == (422, True)


async def test_policies_are_not_asked_about_themselves(api: Api) -> None:
    spec = {"matchConstraints": match("*/*", group="*"), **check("false")}
    await bind(api, "validating", spec)
    assert (await api("POST", MAPS, config_map())).code == 422
    assert (await api("DELETE", f"{ROOT}/validatingadmissionpolicies/p")).code == 200
    assert (await api("POST", MAPS, config_map())).code == 201


async def test_without_a_binding_a_policy_does_nothing(api: Api) -> None:
    body = {"metadata": {"name": "p"}, "spec": {"matchConstraints": match("configmaps"), **check("false")}}
    assert (await api("POST", f"{ROOT}/validatingadmissionpolicies", body)).code == 201
    assert (await api("POST", MAPS, config_map())).code == 201


async def test_connections_and_subresources(api: Api) -> None:
    assert (await api("POST", PODS, pod())).code == 201
    spec = {"matchConstraints": match("pods/exec"), **check("object.command == ['ls']")}
    await bind(api, "validating", spec)
    reply = await api("POST", f"{PODS}/p/exec?command=sh")
    assert reply.code == 422
    assert "denied request" in reply.json["message"]


async def test_a_hostile_expression_is_stopped(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validating, "RUNTIME_BUDGET", 500_000)  # all of it takes two seconds
    numbers = "[1,2,3,4,5,6,7,8,9,10]"
    expression = "a + b + c + d + e + f + g > 0"
    for name in "gfedcba":
        expression = f"{numbers}.all({name}, {expression})"
    await bind(api, "validating", check(expression))
    reply = await api("POST", MAPS, config_map())
    assert (reply.code, "cost budget" in reply.json["message"]) == (422, True)


async def test_match_conditions_are_counted(api: Api) -> None:
    found = [{"name": "c", "expression": "object.data.missing == 'x'"}]
    await bind(api, "validating", {"matchConditions": found, "failurePolicy": "Ignore", **check("false")})
    assert (await api("POST", MAPS, config_map())).code == 201
    shown = (await api("GET", "/metrics")).body.decode()
    labels = '{kind="policy",name="p",operation="CREATE",type="validate"}'
    for name in ("evaluation_seconds_count", "evaluation_errors_total"):
        assert f"apiserver_admission_match_condition_{name}{labels} 1.0\n" in shown
