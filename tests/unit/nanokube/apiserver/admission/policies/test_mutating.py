"""MutatingAdmissionPolicy: what becomes of the object."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.unit.nanokube.apiserver.admission.policies.conftest import (
    MAPS,
    MERGE,
    bind,
    config_map,
    match,
)
from tests.unit.nanokube.apiserver.conftest import PODS, Api, pod


def apply(expression: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patch(expression: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


async def test_an_apply_configuration_is_merged(api: Api) -> None:
    expression = """Object{
      metadata: Object.metadata{labels: {"team": object.metadata.name}},
      spec: Object.spec{initContainers: [Object.spec.initContainers{name: "i", image: "busybox:1"}],
                        containers: [Object.spec.containers{name: "c", tty: true}]}}"""
    spec = {"matchConstraints": match("pods", operations="CREATE"), "mutations": [apply(expression)]}
    await bind(api, "mutating", spec)
    reply = await api("POST", PODS, pod())
    assert reply.code == 201, reply.json
    assert reply.json["metadata"]["labels"] == {"app": "p", "team": "p"}
    container = reply.json["spec"]["containers"][0]
    assert (container["image"], container["tty"]) == ("busybox:1", True)
    assert reply.json["spec"]["initContainers"][0]["imagePullPolicy"] == "IfNotPresent"
    fields = orjson.dumps(reply.json["metadata"]["managedFields"]).decode()
    assert "initContainers" not in fields


async def test_a_json_patch(api: Api) -> None:
    expression = """[
      JSONPatch{op: "test", path: "/data/a", value: "b"},
      JSONPatch{op: "add", path: "/metadata/annotations", value: {}},
      JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("a.b/c"), value: "x"},
      JSONPatch{op: "copy", from: "/data/a", path: "/data/z"}]"""
    await bind(api, "mutating", {"mutations": [patch(expression)]})
    reply = await api("POST", MAPS, config_map())
    assert reply.code == 201, reply.json
    assert reply.json["data"] == {"a": "b", "z": "b"}
    assert reply.json["metadata"]["annotations"] == {"a.b/c": "x"}
    other = await api("POST", MAPS, config_map("d", {"a": "other"}))
    assert other.json["data"] == {"a": "other"}  # a test that fails leaves it as it is


@pytest.mark.parametrize(
    ("mutation", "words"),
    [
        (apply("Object{data: {'x': string(object.data.missing)}}"), "no such key: missing"),
        (apply("Object{nonsense: 'x'}"), ".nonsense: field not declared in schema"),
        (apply("Object{metadata: Object.other{labels: {'a': 'b'}}}"), "type mismatch: unexpected type name"),
        (patch("[JSONPatch{op: 'remove', path: '/data/missing'}]"), "JSON Patch: "),
        (patch("[JSONPatch{op: 'add', path: '/kind', value: 'Secret'}]"), "kind"),
        (patch("[JSONPatch{op: 'add', path: '/nonsense', value: 'x'}]"), 'unknown field "nonsense"'),
    ],
)
async def test_what_cannot_be_done(api: Api, mutation: dict[str, Any], words: str) -> None:
    await bind(api, "mutating", {"mutations": [mutation]})
    reply = await api("POST", MAPS, config_map())
    assert reply.code == 403
    assert reply.json["message"].startswith("policy 'p' with binding 'p-b' denied request: ")
    assert words in reply.json["message"]
    assert reply.json["reason"] == "Invalid"


async def test_atomic_lists_are_not_replaced(api: Api) -> None:
    expression = 'Object{spec: Object.spec{containers: [Object.spec.containers{name: "c", args: ["x"]}]}}'
    await bind(api, "mutating", {"matchConstraints": match("pods"), "mutations": [apply(expression)]})
    reply = await api("POST", PODS, pod())
    words = "may not mutate atomic arrays, maps or structs: .spec.containers[0].args"
    assert reply.json["message"].endswith(words)


async def test_failures_may_be_ignored(api: Api) -> None:
    mutations = [patch("[JSONPatch{op: 'remove', path: '/data/missing'}]"), apply("Object{data: {'x': 'y'}}")]
    await bind(api, "mutating", {"failurePolicy": "Ignore", "mutations": mutations})
    reply = await api("POST", MAPS, config_map())
    assert (reply.code, reply.json["data"]) == (201, {"a": "b", "x": "y"})


async def test_mutations_see_each_other_and_variables_the_object(api: Api) -> None:
    variables = [{"name": "count", "expression": "string(size(object.data))"}]
    mutations = [apply("Object{data: {'n' + variables.count: variables.count}}")] * 2
    await bind(api, "mutating", {"variables": variables, "mutations": mutations})
    reply = await api("POST", MAPS, config_map())
    assert reply.json["data"] == {"a": "b", "n1": "1", "n2": "2"}


async def test_who_wants_to_is_asked_again_after_a_change(api: Api) -> None:
    count = "Object{data: {name: string(size(object.data))}}"
    first, second = (apply(count.replace("name", f"'{n}'")) for n in ("first", "second"))
    await bind(api, "mutating", {"reinvocationPolicy": "IfNeeded", "mutations": [first]}, name="a")
    await bind(api, "mutating", {"mutations": [second]}, name="b")
    reply = await api("POST", MAPS, config_map())
    assert reply.json["data"] == {"a": "b", "first": "3", "second": "2"}


async def test_conditions_and_parameters(api: Api) -> None:
    assert (await api("POST", MAPS, config_map("params", {"value": "v"}))).code == 201
    spec = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "c", "expression": "object.data[?'a'].orValue('') == 'b'"}],
        "mutations": [apply("Object{data: {'param': params.data.value}}")],
    }
    await bind(api, "mutating", spec, paramRef={"name": "params", "parameterNotFoundAction": "Deny"})
    assert (await api("POST", MAPS, config_map())).json["data"] == {"a": "b", "param": "v"}
    assert (await api("POST", MAPS, config_map("d", {"a": "c"}))).json["data"] == {"a": "c"}


async def test_deletions_and_status_updates(api: Api) -> None:
    assert (await api("POST", PODS, pod())).code == 201
    await bind(
        api,
        "mutating",
        {
            "matchConstraints": match("pods", "pods/status"),
            "mutations": [apply("Object{metadata: Object.metadata{annotations: {'x': 'y'}}}")],
        },
    )
    status = {"status": {"phase": "Running"}}
    reply = await api("PATCH", f"{PODS}/p/status", status, content_type=MERGE)
    assert (reply.code, reply.json["status"]["phase"]) == (200, "Running")
    assert (await api("DELETE", f"{PODS}/p")).code == 200
