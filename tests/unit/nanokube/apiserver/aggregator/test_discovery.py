"""Discovery documents of several servers made one."""

from __future__ import annotations

from typing import Any

from nanokube.apiserver.aggregator import discovery, openapi

PRIORITIES = {
    "v1.apps": ("apps", "v1", 17_800, 15),
    "v1.batch": ("batch", "v1", 17_400, 15),
    "v1.crd.example": ("crd.example", "v1", 1000, 100),
    "v1.b.example": ("b.example", "v1", 1000, 10),
    "v2alpha1.b.example": ("b.example", "v2alpha1", 1000, 10),
    "v1beta1.apps": ("apps", "v1beta1", 17_800, 20),
}


def document(*groups: str) -> dict[str, Any]:
    items = [{"metadata": {"name": g}, "versions": [{"version": "v1", "resources": []}]} for g in groups]
    return {"kind": "APIGroupDiscoveryList", "items": items}


def test_groups_are_ordered_by_priority_then_name_and_versions_by_theirs() -> None:
    entries = {
        ("b.example", "v2alpha1"): {"version": "v2alpha1"},
        ("b.example", "v1"): {"version": "v1"},
        ("apps", "v1beta1"): {"version": "v1beta1"},
    }
    merged = discovery.merge_aggregated(document("apps", "batch", "crd.example"), entries, PRIORITIES)
    found = [(i["metadata"]["name"], [v["version"] for v in i["versions"]]) for i in merged["items"]]
    assert found == [
        ("apps", ["v1beta1", "v1"]),
        ("batch", ["v1"]),
        ("b.example", ["v1", "v2alpha1"]),
        ("crd.example", ["v1"]),
    ]


def test_a_legacy_list_becomes_an_entry() -> None:
    listed = {
        "resources": [
            {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get"]},
            {"name": "pods/log", "namespaced": True, "kind": "Log", "version": "v9", "verbs": ["get"]},
            {"name": "alone/status", "namespaced": False, "kind": "Alone", "verbs": ["update"]},
        ]
    }
    entry = discovery.of_legacy("g", "v1", listed)
    pods, alone = entry["resources"]
    assert pods["scope"] == "Namespaced"
    assert pods["responseKind"] == {"group": "g", "version": "v1", "kind": "Pod"}
    assert pods["subresources"][0]["responseKind"] == {"group": "g", "version": "v9", "kind": "Log"}
    assert (alone["resource"], alone["subresources"][0]["subresource"]) == ("alone", "status")


def test_openapi_is_cut_to_paths_and_what_they_speak_of() -> None:

    def ref(name: str) -> dict[str, str]:
        return {"$ref": f"#/definitions/{name}"}

    kind = [{"group": "g", "version": "v1", "kind": "Named"}]
    whole = {
        "paths": {"/apis/g/v1/as": {"get": {"schema": ref("A")}}, "/apis/g/v10/x": {"get": ref("X")}},
        "definitions": {
            "A": {"properties": {"b": ref("B")}},
            "B": {"items": ref("A")},
            "X": {},
            "Named": {"x-kubernetes-group-version-kind": kind, "properties": {"c": ref("C")}},
            "C": {},
        },
    }
    part = openapi.cut(whole, ["/apis/g/v1"])
    assert list(part.paths) == ["/apis/g/v1/as"]
    assert set(part.definitions) == {"A", "B", "Named", "C"}
