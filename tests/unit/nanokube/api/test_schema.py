"""Decoding: pruning, strictness, canonical scalars, wrong types in Go's words."""

from __future__ import annotations

import orjson
import pytest

from nanokube.api import errors, schema


def deployment() -> schema.Schema:
    found = schema.get("apps", "v1", "Deployment")
    assert found is not None
    return found


def test_null_is_absent_and_quantities_are_canonical() -> None:
    container = {"name": "c", "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}}}
    body = {
        "metadata": {"name": "x", "creationTimestamp": None},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    obj, warnings = deployment().decode(orjson.dumps(body), schema.STRICT)
    assert warnings == []
    assert obj["metadata"] == {"name": "x"}
    assert obj["spec"]["template"]["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "500m", "memory": "1Gi"}
    }


def test_unknown_and_duplicate_fields_are_named_in_order() -> None:
    body = (
        b'{"spec":{"foo":1,"replicas":1,"replicas":2,'
        b'"template":{"spec":{"containers":[{"name":"c","bar":1}]}}}}'
    )
    expected = [
        'unknown field "spec.foo"',
        'unknown field "spec.template.spec.containers[0].bar"',
        'duplicate field "spec.replicas"',
    ]
    obj, warnings = deployment().decode(body, schema.WARN)
    assert sorted(warnings[:2]) == sorted(expected[:2])
    assert warnings[2] == expected[2]
    assert obj["spec"] == {"replicas": 2, "template": {"spec": {"containers": [{"name": "c"}]}}}
    with pytest.raises(
        errors.ApiError, match=r'strict decoding error: unknown field "spec.foo", .*duplicate'
    ) as caught:
        deployment().decode(body, schema.STRICT)
    assert caught.value.code == 400
    assert deployment().decode(body)[1] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b'{"spec":{"replicas":"x"}}',
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            b'{"spec":{"replicas":5000000000}}',
            "cannot unmarshal number 5000000000 into Go struct field DeploymentSpec.spec.replicas",
        ),
        (
            b'{"spec":{"selector":[]}}',
            "array into Go struct field DeploymentSpec.spec.selector of type v1.LabelSelector",
        ),
        (
            b'{"spec":{"replicas":3.5}}',
            "cannot unmarshal number 3.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            b'{"metadata":{"creationTimestamp":"x"}}',
            'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"',
        ),
        (
            b'{"spec":{"strategy":{"rollingUpdate":{"maxSurge":true}}}}',
            "struct field RollingUpdateDeployment.spec.strategy.rollingUpdate.maxSurge of type int32",
        ),
        (b"[]", "cannot unmarshal array into Go value of type v1.Deployment"),
        (b"{", "json parse error"),
        (b'{"spec":' * 5000, "json parse error"),
    ],
)
def test_wrong_types(body: bytes, message: str) -> None:
    with pytest.raises(errors.ApiError) as caught:
        deployment().decode(body)
    assert message in caught.value.message
    assert caught.value.code == 400


@pytest.mark.parametrize("mode", [schema.IGNORE, schema.WARN])
@pytest.mark.parametrize(
    ("body", "name"),
    [(b'{"metadata":{"name":"a\xff"}}', "a\ufffd"), (b'{"\xe8":1,"metadata":{"name":"a"}}', "a")],
)
def test_bytes_that_are_no_text_are_replaced_as_in_go(body: bytes, name: str, mode: str) -> None:
    obj, _ = deployment().decode(body, mode)
    assert obj["metadata"]["name"] == name
    assert schema.decode_json(body)["metadata"]["name"] == name


def test_no_text_in_what_is_of_a_wrong_type_or_stands_twice() -> None:
    body = b'{"\xe8":1,"metadata":{"name":"a","creationTimestamp":"' + b"9" * 40 + b'"}}'
    with pytest.raises(errors.ApiError, match="parsing time"):
        deployment().decode(body, schema.WARN)
    body = b'{"apiVersion":"b\xf2","spec":{"template":{"spec":{"volumes":[{"name":"v","$patch":{}}]}}}}'
    _, warnings = deployment().decode(body, schema.WARN)
    assert warnings == ['unknown field "spec.template.spec.volumes[0].$patch"']


def test_nulls_in_maps_and_lists_become_zeros() -> None:
    pod = schema.get("", "v1", "Pod")
    assert pod is not None
    obj, _ = pod.clean({"metadata": {"labels": {"a": None}}, "spec": {"containers": [None], "volumes": None}})
    assert obj == {"metadata": {"labels": {"a": ""}}, "spec": {"containers": [{}]}}


def test_fast_and_slow_ways_agree() -> None:
    pod = schema.get("", "v1", "Pod")
    assert pod is not None
    body = {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T01:00:00+01:00"},
        "spec": {
            "containers": [
                {"name": "c", "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": "x"}}}
            ]
        },
    }
    fast, _ = pod.clean(body)
    slow, problems = pod.clean({**body, "unknown": 1})
    assert fast == slow
    assert problems == ['unknown field "unknown"']
    assert fast["metadata"]["creationTimestamp"] == "2026-01-01T00:00:00Z"


def test_every_definition_of_the_table_makes_a_schema() -> None:
    from nanokube.api import facts, resources

    for resource in resources.ALL:
        assert schema.get(resource.group, resource.version, resource.kind) is not None, resource.name
        for sub in resource.subresources:
            if sub.version:
                assert schema.get(sub.group, sub.version, sub.kind) is not None
    assert all(facts.definition(n) for n in facts.names())


def test_whole_numbers_stay_whole() -> None:
    """Tools that compare 1 with 1.0 would see a change for ever."""
    found = schema.get("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert found is not None
    props = {"maximum": 511, "minimum": 0.5}
    body = {"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": props}}]}}
    for made, _ in (found.decode(orjson.dumps(body)), found.clean({**body, "nonsense": 1})):
        shown = made["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert orjson.dumps(shown, option=orjson.OPT_SORT_KEYS) == b'{"maximum":511,"minimum":0.5}'


def test_the_fault_of_a_long_body_is_told_without_a_walk_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(body: bytes) -> str:
        assert len(body) <= schema.EXPLAINED_BYTES
        return "Go's words"

    monkeypatch.setattr("nanokube.api.json_syntax.fault", walk)
    for times, words in (
        (10, "Go's words"),
        (1_000_000, "JSON is malformed: invalid character (byte 3000000)"),
    ):
        with pytest.raises(ValueError, match=r".") as caught:
            schema.parse_json(b"[" + b"10," * times + b"x")
        assert str(caught.value).startswith(words[:40])
