"""A Pod whose spec came before is decoded as every other: with the same result, remarks and refusals."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nanokube.api import defaults, facts, replicas, resources, schema
from nanokube.api.errors import ApiError
from nanokube.api.patch import managed

PODS = resources.get("pods")
SPECS = {
    "plain": b'{"containers":[{"name":"c","image":"i"}]}',
    "spaced": b'{ "containers": [ {"image": "i", "name": "c"} ] }',
    "null": b'{"containers":[{"name":"c","image":"i"}],"nodeName":null}',
    "zeros": b'{"containers":[{"name":"c","image":"","args":[]}],"hostNetwork":false}',
    "amounts": b'{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1000m"}}}]}',
    "all of it": orjson.dumps(
        {
            "initContainers": [{"name": "i", "image": "i", "ports": [{"containerPort": 1}]}],
            "containers": [{"name": "c", "image": "i", "livenessProbe": {"httpGet": {"port": 1}}}],
            "volumes": [{"name": "v"}, {"name": "w", "configMap": {"name": "x"}}],
            "terminationGracePeriodSeconds": -1,
            "hostNetwork": True,
        }
    ),
    "twice": b'{"containers":[{"name":"c","image":"i","image":"j"}]}',
    "unknown": b'{"containers":[{"name":"c","image":"i","colour":"red"}]}',
    "empty": b"{}",
    "nothing": b"null",
    "latin": b'{"containers":[{"name":"c","image":"\xe4"}]}',
}
METADATA = {
    "plain": b'{"name":"a","labels":{"a":"b"}}',
    "time": b'{"creationTimestamp":null,"name":"a"}',
    "twice": b'{"name":"a","name":"b"}',
    "unknown": b'{"name":"a","colour":"red"}',
    "number": b'{"name":1}',
}
WHOLE = {
    "usual": b'{"apiVersion":"v1","kind":"Pod","metadata":%b,"spec":%b}',
    "spec twice": b'{"metadata":%b,"spec":{"nodeName":"n"},"spec":%b}',
    "more": b'{"metadata":%b,"spec":%b,"colour":1}',
    "cut": b'{"metadata":%b,"spec":%b',
}


def body(whole: str, metadata: str, spec: str) -> bytes:
    if whole == "status":
        return b'{"kind":"Pod","status":{},"spec":%b,"metadata":%b}\n' % (SPECS[spec], METADATA[metadata])
    return WHOLE[whole] % (METADATA[metadata], SPECS[spec])


def outcome(decode: Any) -> Any:
    try:
        return decode()
    except ApiError as err:
        return err.code, err.message


def plainly(raw: bytes, validation: str) -> tuple[dict[str, Any], list[str]]:
    found = schema.get(*replicas.KIND)
    assert found is not None
    obj, remarks = found.decode(raw, validation)
    defaults.apply(PODS, obj)
    return obj, remarks


def knowingly(raw: bytes, validation: str) -> tuple[dict[str, Any], list[str]]:
    obj, remarks, sent = replicas.decode(raw, validation)
    if sent is None:
        defaults.apply(PODS, obj)
    else:
        defaults.apply_around_spec(PODS, obj)
    return obj, remarks


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("whole", [*WHOLE, "status"])
def test_the_result_is_the_same_each_time(whole: str, spec: str) -> None:
    for _ in range(2):
        for metadata in METADATA:
            for validation in (schema.IGNORE, schema.WARN, schema.STRICT):
                raw = body(whole, metadata, spec)
                expected = outcome(lambda raw=raw, how=validation: plainly(raw, how))
                found = outcome(lambda raw=raw, how=validation: knowingly(raw, how))
                assert found == expected


def test_the_tree_of_the_first_is_its_own_and_of_others_that_is_kept() -> None:
    raw = body("usual", "plain", "all of it")
    replicas.decode(raw, schema.WARN)
    (first, _, sent), (second, _, same) = (
        replicas.decode(raw.replace(b'"i"', b'"k"'), schema.WARN) for _ in range(2)
    )
    assert sent is same
    assert sent is not None
    assert first["spec"] is not sent.tree
    assert second["spec"] is sent.tree
    assert sent.copy() == sent.tree
    assert sent.copy() is not sent.tree


def admitted(spec: dict[str, Any], sent_as: bytes = SPECS["plain"]) -> replicas.Admitted | None:
    sent = replicas.Sent()
    sent.encoded = sent_as
    replicas.keep(sent, "n", spec, 1)
    return sent.admitted.get("n")


def with_token(name: str, **fields: Any) -> dict[str, Any]:
    mounts = [{"name": "v", "mountPath": "/v"}, {"name": name, "mountPath": "/token"}]
    container = {"name": "c", "volumeMounts": mounts}
    volumes = [{"name": "v", "emptyDir": {}}, {"name": name, "projected": {"sources": []}}]
    return {"containers": [container, {"name": "d"}], "volumes": volumes, **fields}


@pytest.mark.parametrize("more", [{}, {"initContainers": [{"name": "i"}]}])
def test_a_replica_has_its_own_drawn_name_in_both_forms(more: dict[str, Any]) -> None:
    found = admitted(with_token("kube-api-access-abcde", **more))
    assert found is not None
    assert found.has_drawn
    for name in ("kube-api-access-fghij", "kube-api-access-klmno"):
        tree, encoded = found.replica(name)
        assert tree == orjson.loads(encoded) == with_token(name, **more)


def test_a_replica_without_a_drawn_name_is_the_same() -> None:
    found = admitted({"containers": [{"name": "c"}]})
    assert found is not None
    assert not found.has_drawn
    assert found.replica("")[0] == {"containers": [{"name": "c"}]}


@pytest.mark.parametrize(
    ("spec", "sent_as"),
    [
        (with_token("kube-api-access-abcde"), orjson.dumps(with_token("kube-api-access-abcde"))),  # its own
        (with_token("kube-api-access-abcde", ephemeralContainers=[{"name": "kube-api-access-abcde"}]), b"{}"),
        (with_token("kube-api-access-ABCDE"), b"{}"),
        ({"schedulingGroup": {}, "containers": []}, b"{}"),  # a gate is off
    ],
)
def test_what_cannot_be_repeated_is_not_kept(spec: dict[str, Any], sent_as: bytes) -> None:
    assert admitted(spec, sent_as) is None


def test_specs_are_kept_for_few_namespaces() -> None:
    sent = replicas.Sent()
    for number in range(40):
        replicas.keep(sent, f"n-{number}", {"containers": []}, number)
        assert sent.admitted[f"n-{number}"].stamp == number
        assert len(sent.admitted) <= 4


@pytest.mark.parametrize("spec", ["twice", "unknown", "empty", "nothing"])
def test_a_spec_with_a_remark_is_not_kept(spec: str) -> None:
    for _ in range(2):
        assert replicas.decode(body("usual", "plain", spec), schema.WARN)[2] is None


@pytest.mark.parametrize(
    "metadata", [{}, {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["e/f"]}]
)
@pytest.mark.parametrize("spec", ["plain", "amounts", "all of it"])
def test_the_fields_of_a_known_spec_are_those_of_the_object(spec: str, metadata: dict[str, Any]) -> None:
    found = facts.definition("io.k8s.api.core.v1.Pod")
    entries = []
    for _ in range(2):
        obj, _, sent = replicas.decode(body("usual", "plain", spec), schema.WARN)
        assert sent is not None
        defaults.apply_around_spec(PODS, obj)
        obj["metadata"] = dict(metadata)
        for fields in (None, sent.fields):
            managed.track_update(
                found, None, obj, manager="m", api_version="v1", now="2026-01-01T00:00:00Z", spec=fields
            )
            entries.append(orjson.dumps(obj["metadata"].pop("managedFields")))
    assert len(set(entries)) == 1
