"""Who set what: entries are stored as clients expect their bytes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nanokube.api import errors, facts, patch
from nanokube.api.patch import entries, keyed, managed

MAP = facts.definition("io.k8s.api.core.v1.ConfigMap")
DEPLOYMENT = facts.definition("io.k8s.api.apps.v1.Deployment")
NOW = "2026-01-02T03:04:05Z"
OTHER = entries.entry_of("other", "Apply", "v1", NOW, {"f:immutable": {}})


@pytest.mark.parametrize(
    "old",
    [None, {"metadata": {"name": "m", "labels": {"z": "1"}, "managedFields": [OTHER]}, "data": {"b": "0"}}],
    ids=["created", "updated"],
)
def test_fields_are_stored_in_order(old: dict[str, Any] | None) -> None:
    new: dict[str, Any] = {
        "data": {"z": "1", "b": "2", "a": "3"},
        "metadata": {"name": "m", "labels": {"z": "1", "a": "2"}},
        "binaryData": {"x": "eA=="},
    }
    managed.track_update(MAP, old, new, manager="m", api_version="v1", now=NOW)
    fields = new["metadata"]["managedFields"][-1]["fieldsV1"]
    assert orjson.dumps(fields) == orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def test_an_object_without_entries_gets_none_by_an_update() -> None:
    new: dict[str, Any] = {"metadata": {"name": "m"}, "data": {"a": "2"}}
    managed.track_update(MAP, {"metadata": {"name": "m"}}, new, manager="m", api_version="v1", now=NOW)
    assert new["metadata"]["managedFields"] == []


def test_what_nobody_was_recorded_for_is_owned_before_the_first_apply() -> None:
    live = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1", "b": "1"}}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}}
    found = patch.apply_configuration(MAP, live, config, manager="s", force=False, now=NOW)
    owners = {e["manager"]: e["fieldsV1"] for e in found["metadata"]["managedFields"]}
    assert owners == {
        "before-first-apply": {"f:data": {".": {}, "f:a": {}, "f:b": {}}},
        "s": {"f:data": {"f:a": {}}},
    }


def test_entries_stand_appliers_first_then_by_time_and_name() -> None:
    found = [
        entries.entry_of("b", "Update", "v1", "2026-01-01T00:00:00Z", {"f:x": {}}),
        entries.entry_of("a", "Update", "v1", "2026-01-02T00:00:00Z", {"f:x": {}}),
        entries.entry_of("a", "Update", "v1", "2026-01-01T00:00:00Z", {"f:x": {}}, "status"),
        entries.entry_of("z", "Apply", "v1", "2026-01-03T00:00:00Z", {"f:x": {}}),
    ]
    order = [(e["manager"], e.get("subresource", "")) for e in entries.in_order(found)]
    assert order == [("z", ""), ("a", "status"), ("b", ""), ("a", "")]


def test_the_oldest_of_more_than_ten_updates_are_united() -> None:
    many = [
        entries.entry_of(f"m{n}", "Update", "v1", f"2026-01-{n:02}T00:00:00Z", {"f:data": {f"f:k{n}": {}}})
        for n in range(1, 13)
    ]
    applied = entries.entry_of("z", "Apply", "v1", NOW, {"f:x": {}})
    found = entries.capped([*many, applied])
    assert len(found) == 11
    assert [e["manager"] for e in found[:9]] == [f"m{n}" for n in range(4, 13)]
    ancient = found[-1]
    assert ancient["manager"] == "ancient-changes"
    assert ancient["time"] == "2026-01-03T00:00:00Z"
    assert ancient["fieldsV1"] == {"f:data": {"f:k1": {}, "f:k2": {}, "f:k3": {}}}
    newest = entries.entry_of("m13", "Update", "v1", "2026-01-13T00:00:00Z", {"f:data": {"f:k13": {}}})
    again = entries.capped([*found, newest])
    assert len(again) == 11
    assert again[-1]["fieldsV1"] == {"f:data": {"f:k1": {}, "f:k2": {}, "f:k3": {}, "f:k4": {}}}


@pytest.mark.parametrize(
    ("kind", "subresource", "found"),
    [
        ("Deployment", "", {"metadata": {"labels": 1, "annotations": 2}, "spec": 3}),
        ("Deployment", "status", {"metadata": {"annotations": 2}, "status": {"a": 4, "certificate": 5}}),
        ("FlowSchema", "status", {"status": {"a": 4, "certificate": 5}}),
        (
            "CertificateSigningRequest",
            "approval",
            {"metadata": {"labels": 1, "annotations": 2}, "status": {"a": 4}},
        ),
    ],
)
def test_what_an_endpoint_does_not_write_nobody_manages_by_it(
    kind: str, subresource: str, found: dict[str, Any]
) -> None:
    obj = {
        "kind": kind,
        "apiVersion": "v1",
        "metadata": {"name": "x", "labels": 1, "annotations": 2},
        "spec": 3,
        "status": {"a": 4, "certificate": 5},
    }
    assert managed.manageable(obj, subresource) == found


@pytest.mark.parametrize(
    ("problems", "message"),
    [
        ([], None),
        (['duplicate field "spec.replicas"'], None),
        (
            ['unknown field "spec.template.spec.containers[0].foo"'],
            "failed to create typed patch object (ns/d; apps/v1, Kind=Deployment): "
            '.spec.template.spec.containers[name="c"].foo: field not declared in schema',
        ),
        (
            ['unknown field "spec.x"', 'unknown field "y"'],
            "failed to create typed patch object (ns/d; apps/v1, Kind=Deployment): errors:\n"
            "  .spec.x: field not declared in schema\n  .y: field not declared in schema",
        ),
    ],
)
def test_a_configuration_with_unknown_fields_is_refused(problems: list[str], message: str | None) -> None:
    config = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "ns"},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "foo": 1}]}}},
    }
    found = patch.refuse_undeclared(DEPLOYMENT, config, problems)
    assert (found.message if found else None) == message


def test_what_replicas_share_is_remembered_and_stays_as_it_was() -> None:
    def write(old: dict[str, Any] | None, manager: str, replicas: int) -> dict[str, Any]:
        new = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "spec": {"replicas": replicas}}
        if old is not None:
            new = {**new, "metadata": dict(old["metadata"])}
        managed.track_update(DEPLOYMENT, old, new, manager=manager, api_version="apps/v1", now="2026")
        return new

    def owners(obj: dict[str, Any]) -> dict[str, Any]:
        return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"]["managedFields"]}

    rounds = []
    for _ in range(2):
        first = write(None, "a", 1)
        second = write(first, "b", 2)
        third = write(second, "a", 3)
        rounds.append([owners(each) for each in (first, second, third)])
    replicas: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    assert rounds[0] == rounds[1]
    assert rounds[0][1]["b"] == replicas
    assert rounds[0][2]["a"]["f:spec"]["f:replicas"] == {}
    assert "b" not in rounds[0][2]


REFERENCE = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}


def test_items_that_are_atomic_are_owned_as_a_whole() -> None:
    new: dict[str, Any] = {"metadata": {"name": "m", "ownerReferences": [REFERENCE]}}
    managed.track_update(MAP, None, new, manager="m", api_version="v1", now=NOW)
    owned: dict[str, Any] = {"f:metadata": {"f:ownerReferences": {".": {}, 'k:{"uid":"u"}': {}}}}
    assert new["metadata"]["managedFields"][0]["fieldsV1"] == owned
    renamed: dict[str, Any] = {"metadata": {"name": "m", "ownerReferences": [{**REFERENCE, "name": "q"}]}}
    managed.track_update(MAP, new, renamed, manager="n", api_version="v1", now=NOW)
    assert [(e["manager"], e["fieldsV1"]) for e in renamed["metadata"]["managedFields"]] == [
        ("m", {"f:metadata": {"f:ownerReferences": {}}}),
        ("n", {"f:metadata": {"f:ownerReferences": {'k:{"uid":"u"}': {}}}}),
    ]


def test_an_applied_item_that_is_atomic_takes_the_place_of_the_other() -> None:
    live: dict[str, Any] = {"metadata": {"name": "m", "ownerReferences": [{**REFERENCE, "controller": True}]}}
    config = {"apiVersion": "v1", "metadata": {"name": "m", "ownerReferences": [REFERENCE]}}
    found = patch.apply_configuration(MAP, live, config, manager="s", force=True, now=NOW)
    assert found["metadata"]["ownerReferences"] == [REFERENCE]


def test_a_reference_that_is_granular_is_owned_field_by_field() -> None:
    volume = facts.definition("io.k8s.api.core.v1.PersistentVolume")
    new: dict[str, Any] = {"metadata": {}, "spec": {"claimRef": {"name": "c"}}}
    managed.track_update(volume, None, new, manager="m", api_version="v1", now=NOW)
    assert new["metadata"]["managedFields"][0]["fieldsV1"] == {
        "f:spec": {"f:claimRef": {".": {}, "f:name": {}}}
    }


@pytest.mark.parametrize("given", [[], [{}]])
def test_empty_entries_reset(given: list[Any]) -> None:
    old = {"metadata": {"name": "m", "managedFields": [OTHER]}}
    new: dict[str, Any] = {"metadata": {"name": "m", "managedFields": given}, "data": {"a": "1"}}
    managed.track_update(MAP, old, new, manager="m", api_version="v1", now=NOW)
    assert new["metadata"]["managedFields"] == []


@pytest.mark.parametrize("fields", [{"f:data": 1}, {"data": {}}, {"f:data": {"x": {}}}])
def test_entries_that_are_no_sets_of_fields_are_not_taken(fields: dict[str, Any]) -> None:
    old = {"metadata": {"name": "m", "managedFields": [OTHER]}}
    bad = [{**OTHER, "fieldsV1": fields}]
    new: dict[str, Any] = {"metadata": {"name": "m", "managedFields": bad}, "data": {"a": "1"}}
    managed.track_update(MAP, old, new, manager="m", api_version="v1", now=NOW)
    assert [e["manager"] for e in new["metadata"]["managedFields"]] == ["other", "m"]


POD = facts.definition("io.k8s.api.core.v1.Pod")
ACCOUNT = facts.definition("io.k8s.api.core.v1.ServiceAccount")
KEYED = "associative list with keys"


def container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", **fields}]}}


@pytest.mark.parametrize(
    ("definition", "config", "expected"),
    [
        (POD, container(env=[{"name": "A"}, {"name": "B"}]), []),
        (POD, container(env=[{"name": "A"}, {"name": "A"}]),
         ['.spec.containers[name="c"].env: duplicate entries for key [name="A"]']),
        (POD, container(ports=[{"containerPort": 80}, {"containerPort": 80, "protocol": "TCP"}]),
         ['.spec.containers[name="c"].ports: duplicate entries for key [containerPort=80,protocol="TCP"]']),
        (POD, {"metadata": {"finalizers": ["a/b", "a/b"]}},
         ['.metadata.finalizers: duplicate entries for key [="a/b"]']),
        (POD, {"spec": {"containers": [None]}},
         [f".spec.containers: element 0: {KEYED} may not have a null element"]),
        (POD, {"spec": {"containers": [{"image": "i"}]}}, []),  # "" is the default of a name
        (ACCOUNT, {"imagePullSecrets": [{}]}, []),
        (ACCOUNT, {"secrets": [{"namespace": "d"}]},
         [f'.secrets: element 0: {KEYED} has an element that omits all key fields ["name"] '
          "(and doesn't have default values for any key fields)"]),
        (POD, {"spec": {"containers": [{"name": "c", "args": ["a", "a"]}]}}, []),  # atomic
    ],
)  # fmt: skip
def test_items_of_keyed_lists_are_told_apart(
    definition: facts.Definition, config: dict[str, Any], expected: list[str]
) -> None:
    assert list(keyed.problems(definition, config)) == expected
    refusal = patch.refuse_undeclared(definition, config, [])
    assert (refusal is None) == (not expected)


DEPLOYED = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}


def applied(live: dict[str, Any] | None, manager: str, spec: dict[str, Any]) -> dict[str, Any]:
    given = {**DEPLOYED, "spec": spec}
    config = {**DEPLOYED, "spec": {key: value for key, value in spec.items() if value is not None}}
    patch.restore_zeros(DEPLOYMENT, config, given)
    return patch.apply_configuration(DEPLOYMENT, live, config, manager=manager, force=False, now=NOW)


def test_an_applied_null_takes_a_value_away_and_is_owned() -> None:
    made = applied(None, "x", {"replicas": 2, "paused": None})
    assert made["spec"] == {"replicas": 2}
    assert made["metadata"]["managedFields"][0]["fieldsV1"] == {"f:spec": {"f:paused": {}, "f:replicas": {}}}
    found = applied(made, "x", {"replicas": None})
    assert "replicas" not in found["spec"]
    assert found["metadata"]["managedFields"][0]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


def test_an_applied_null_conflicts() -> None:
    made = applied(None, "x", {"replicas": 2, "paused": None})
    with pytest.raises(errors.ApiError, match=r'conflicts with "x":\n- \.spec\.paused\n- \.spec\.replicas'):
        applied(made, "y", {"replicas": None, "paused": None})


def test_who_empties_a_keyed_list_takes_it_from_its_owners() -> None:
    node = facts.definition("io.k8s.api.storage.v1.CSINode")
    old: dict[str, Any] = {"metadata": {}, "spec": {"drivers": [{"name": "a", "nodeID": "b"}]}}
    managed.track_update(node, None, old, manager="m", api_version="v1", now=NOW)
    new: dict[str, Any] = {"metadata": {**old["metadata"]}, "spec": {"drivers": None}}
    managed.track_update(node, old, new, manager="m", api_version="v1", now=NOW)
    assert new["metadata"]["managedFields"] == []
