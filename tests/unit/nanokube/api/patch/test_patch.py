"""Patches: directives in a table, properties by hypothesis, apply with owners."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanokube.api import errors, facts, objects, patch

POD = facts.definition("io.k8s.api.core.v1.Pod")
DEPLOYMENT = facts.definition("io.k8s.api.apps.v1.Deployment")
MAP = facts.definition("io.k8s.api.core.v1.ConfigMap")


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


A, B = {"name": "a", "image": "1"}, {"name": "b", "image": "2"}


@pytest.mark.parametrize(
    ("target", "change", "expected"),
    [
        (
            spec(containers=[A, B]),
            spec(containers=[{"name": "b", "image": "3"}]),
            spec(containers=[A, {"name": "b", "image": "3"}]),
        ),
        (spec(containers=[A]), spec(containers=[B]), spec(containers=[B, A])),
        (spec(containers=[A, B]), spec(containers=[{"$patch": "delete", "name": "a"}]), spec(containers=[B])),
        (spec(containers=[A]), spec(containers=[{"$patch": "replace"}, B]), spec(containers=[B])),
        (
            spec(nodeSelector={"x": "1"}),
            spec(nodeSelector={"$patch": "replace", "y": "2"}),
            spec(nodeSelector={"y": "2"}),
        ),
        (
            spec(nodeSelector={"x": "1", "y": "2"}),
            spec(nodeSelector={"x": None}),
            spec(nodeSelector={"y": "2"}),
        ),
        (
            spec(containers=[A]),
            spec(containers=[{"name": "a", "image": None}]),
            spec(containers=[{"name": "a"}]),
        ),
        (
            spec(tolerations=[{"key": "x"}]),
            spec(tolerations=[{"key": "y"}]),
            spec(tolerations=[{"key": "y"}]),
        ),
        (
            spec(containers=[A, B]),
            {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}},
            spec(containers=[B, A]),
        ),
        (
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}},
            {"metadata": {"finalizers": ["c", "b"]}},
        ),
        (
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
            {"metadata": {"finalizers": ["b"]}},
        ),
        (
            spec(volumes=[{"name": "v", "emptyDir": {}}]),
            spec(volumes=[{"name": "v", "emptyDir": None, "hostPath": {"path": "/"}}]),
            spec(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
        ),
        (
            spec(volumes=[{"name": "v", "emptyDir": {}}]),
            spec(volumes=[{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]),
            spec(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
        ),
    ],
)
def test_strategic(target: dict[str, Any], change: dict[str, Any], expected: dict[str, Any]) -> None:
    before = objects.copy(target)
    assert patch.apply_strategic_patch(POD, target, change) == expected
    assert target == before


def test_server_items_keep_their_place_among_ordered_ones() -> None:
    target = spec(containers=[{"name": n} for n in "abc"])
    change = {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}}
    names = [c["name"] for c in patch.apply_strategic_patch(POD, target, change)["spec"]["containers"]]
    assert names.index("c") < names.index("a")
    assert set(names) == set("abc")


@pytest.mark.parametrize(
    "change",
    [
        spec(containers=[{"image": "x"}]),
        {"$patch": "explode"},
        spec(containers=["a"]),
        [],
        spec(strategy={"$retainKeys": ["a"], "b": 1}),
    ],
)
def test_strategic_malformed(change: Any) -> None:
    with pytest.raises(errors.ApiError) as caught:
        patch.apply_strategic_patch(
            DEPLOYMENT if "strategy" in str(change) else POD, spec(containers=[A]), change
        )
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/0", "value": 0}], {"a": [0, 1]}),
        ({"a": 1}, [{"op": "move", "from": "/a", "path": "/b"}], {"b": 1}),
        ({"a/b": 1}, [{"op": "replace", "path": "/a~1b", "value": 2}], {"a/b": 2}),
        (
            {"a": {"b": 1}},
            [{"op": "copy", "from": "/a", "path": "/c"}, {"op": "remove", "path": "/a/b"}],
            {"a": {}, "c": {"b": 1}},
        ),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}),
    ],
)
def test_json_patch(document: Any, operations: Any, expected: Any) -> None:
    assert patch.apply_json_patch(document, operations) == expected


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([{"op": "remove", "path": "/x"}], 422),
        ([{"op": "test", "path": "/a", "value": True}], 422),
        ([{"op": "add", "path": "/l/01", "value": 1}], 422),
        ([{"op": "frob", "path": "/a"}], 422),
        ([{"op": "add", "path": "/a"}], 422),
        ({}, 400),
        ([{"op": "test", "path": "/a", "value": 1}] * 10_001, 413),
    ],
)
def test_json_patch_refused(operations: Any, code: int) -> None:
    with pytest.raises(errors.ApiError) as caught:
        patch.apply_json_patch({"a": 1, "l": [1]}, operations)
    assert caught.value.code == code


def test_json_patch_copies_end_before_they_fill_memory() -> None:
    operations = [{"op": "copy", "from": "/a", "path": f"/a/{n}"} for n in range(40)]
    with pytest.raises(errors.ApiError, match="accumulated size increase of copy") as caught:
        patch.apply_json_patch({"a": {"b": 1}}, operations)
    assert caught.value.code == 422
    many = [{"op": "copy", "from": "/a", "path": "/c"}] * 5_000
    assert patch.apply_json_patch({"a": 1}, many) == {"a": 1, "c": 1}


TEXT = st.text("abc", min_size=1, max_size=2)
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": TEXT, "image": TEXT}), max_size=4, unique_by=lambda c: c["name"]
)


@settings(max_examples=60, deadline=None)
@given(CONTAINERS, CONTAINERS)
def test_strategic_merge_is_idempotent_and_takes_the_patch(before: list[Any], change: list[Any]) -> None:
    once = patch.apply_strategic_patch(POD, spec(containers=before), spec(containers=change))
    assert patch.apply_strategic_patch(POD, once, spec(containers=change)) == once
    images = {c["name"]: c["image"] for c in once["spec"]["containers"]}
    assert images == {c["name"]: c["image"] for c in [*before, *change]}
    assert len(images) == len(once["spec"]["containers"])


JSON = st.recursive(
    st.integers() | st.booleans() | TEXT,
    lambda c: st.lists(c, max_size=3) | st.dictionaries(TEXT, c, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(TEXT, JSON, max_size=3), st.dictionaries(TEXT, JSON, max_size=3))
def test_merge_patch_holds_after_it_is_applied(target: dict[str, Any], change: dict[str, Any]) -> None:
    once = patch.apply_merge_patch(target, change)
    assert patch.apply_merge_patch(once, change) == once
    assert all(k in once for k in change)


def config(manager: str, live: Any, data: dict[str, str], *, force: bool = False) -> dict[str, Any]:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}
    return patch.apply_configuration(MAP, live, body, manager=manager, force=force, now="t")


def test_apply_adds_removes_and_shares() -> None:
    live = config("one", None, {"a": "1", "b": "1"})
    live = config("two", live, {"b": "1", "c": "2"})
    assert live["data"] == {"a": "1", "b": "1", "c": "2"}
    live = config("one", live, {"a": "1"})  # b stays: two owns it too
    assert live["data"] == {"a": "1", "b": "1", "c": "2"}
    live = config("two", live, {"c": "2"})
    assert live["data"] == {"a": "1", "c": "2"}
    assert [e["manager"] for e in live["metadata"]["managedFields"]] == ["one", "two"]


def test_apply_conflicts_unless_forced() -> None:
    live = config("one", None, {"a": "1"})
    with pytest.raises(
        errors.ApiError, match=r'Apply failed with 1 conflict: conflict with "one": \.data\.a'
    ) as caught:
        config("two", live, {"a": "2"})
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    live = config("two", live, {"a": "2"}, force=True)
    assert live["data"] == {"a": "2"}
    assert [e["manager"] for e in live["metadata"]["managedFields"]] == ["two"]


def test_apply_merges_lists_by_key() -> None:
    def apply(manager: str, live: Any, *containers: Any) -> dict[str, Any]:
        body = {"apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"containers": list(containers)}}
        return patch.apply_configuration(POD, live, body, manager=manager, force=False, now="t")

    live = apply("one", None, {"name": "a", "ports": [{"containerPort": 80}]})
    live = apply("two", live, {"name": "a", "image": "i"}, {"name": "b", "image": "j"})
    assert live["spec"]["containers"] == [
        {"name": "a", "ports": [{"containerPort": 80}], "image": "i"},
        {"name": "b", "image": "j"},
    ]
    live = apply("two", live, {"name": "a", "image": "i"})
    assert [c["name"] for c in live["spec"]["containers"]] == ["a"]


def test_updates_take_fields_over() -> None:
    live = config("one", None, {"a": "1", "b": "1"})
    new = objects.copy(live)
    new["data"] = {"a": "2"}
    patch.track_update(MAP, live, new, manager="kubectl", api_version="v1", now="t")
    entries = {e["manager"]: e["fieldsV1"] for e in new["metadata"]["managedFields"]}
    assert entries == {"kubectl": {"f:data": {"f:a": {}}}}


def test_update_marks_structs_maps_and_lists_that_are_new() -> None:
    """Structs by value are never new; pointers, maps and lists are. (apimachinery, typed/compare.go)."""
    container = {"name": "c", "env": [{"name": "A"}], "resources": {}, "securityContext": {}}
    new = {
        "metadata": {"name": "d", "generateName": "d", "labels": {"a": "b"}},
        "spec": {"template": {"spec": {"containers": [container]}}, "strategy": {}},
    }
    patch.track_update(DEPLOYMENT, None, new, manager="m", api_version="apps/v1", now="t")
    (entry,) = new["metadata"]["managedFields"]  # type: ignore[index]
    assert entry["fieldsV1"] == {
        "f:metadata": {"f:generateName": {}, "f:labels": {".": {}, "f:a": {}}},
        "f:spec": {
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"c"}': {
                            ".": {},
                            "f:name": {},
                            "f:env": {".": {}, 'k:{"name":"A"}': {".": {}, "f:name": {}}},
                            "f:resources": {},
                            "f:securityContext": {},
                        },
                    }
                }
            }
        },
    }


def test_writer_may_replace_managed_fields() -> None:
    entry = {"manager": "x", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1"}
    given = [{**entry, "fieldsV1": {"f:spec": {}}}]
    old: dict[str, Any] = {"metadata": {"managedFields": [{**entry, "manager": "y", "fieldsV1": {}}]}}
    for entries, expected in ((given, given), ([{}], []), ([], [])):
        new: dict[str, Any] = {"metadata": {"managedFields": entries}}
        patch.track_update(DEPLOYMENT, old, new, manager="m", api_version="apps/v1", now="t")
        assert new["metadata"]["managedFields"] == expected


def test_kubectl_takes_over_what_client_side_apply_left_unchanged() -> None:
    note = "kubectl.kubernetes.io/last-applied-configuration"
    config = {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 1}}
    live: dict[str, Any] = {
        **config,
        "metadata": {
            "name": "d",
            "annotations": {note: orjson.dumps(config).decode()},
            "managedFields": [
                {"manager": "csa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            ],
        },
    }
    wanted: dict[str, Any] = {**config, "spec": {"replicas": 2}}
    with pytest.raises(errors.ApiError, match="1 conflict"):
        patch.apply_configuration(DEPLOYMENT, live, wanted, manager="other", force=False, now="t")
    found = patch.apply_configuration(DEPLOYMENT, live, wanted, manager="kubectl", force=False, now="t")
    assert found["spec"]["replicas"] == 2
    assert orjson.loads(found["metadata"]["annotations"][note])["spec"] == {"replicas": 2}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/a", r": testing value /a failed: test failed$"),
        ("/b", r": testing value /b failed: test failed$"),
        ("/b/c", r": missing path: /b/c$"),
    ],
)
def test_a_failed_test_says_so_as_upstream(path: str, said: str) -> None:
    with pytest.raises(errors.ApiError, match=said):
        patch.apply_json_patch({"a": 1}, [{"op": "test", "path": path, "value": 2}])
