"""Custom resources as they are shown and scaled: columns by JSONPath, selectable fields, /scale."""

from __future__ import annotations

from typing import Any, Final

import pytest

from nanokube.api import errors
from nanokube.api.custom import columns, conversion, jsonpath, resource, scale

READY: Final = {"type": "Ready", "status": "True", "n": 3}
STATUS: Final = {"conditions": [{"type": "A", "status": "False", "n": 1}, READY]}
OBJECT: Final[dict[str, Any]] = {
    "metadata": {"name": "x", "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"a.b/c": "d"}},
    "spec": {"replicas": 3, "ratio": 1.5, "on": True, "image": "busybox", "empty": None, "list": [1, 2, 3]},
    "status": STATUS,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.replicas", [3]),
        ("$.spec.replicas", [3]),
        (".spec.none.at.all", []),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        (".status.conditions[?(@.n > 2)].type", ["Ready"]),
        (".status.conditions[?(@.type == 'Nope')].status", []),
        (".status.conditions[*].type", ["A", "Ready"]),
        (".status.conditions[-1].type", ["Ready"]),
        (".status.conditions[0]['type']", ["A"]),
        (".status.conditions[0:1].type", ["A"]),
        (".spec.list[0,2]", [1, 3]),
        (r".metadata.labels.a\.b/c", ["d"]),
        (".metadata.labels['a.b/c']", ["d"]),
        ("..status", [STATUS, "False", "True"]),
        (".spec.list[7]", []),
    ],
)
def test_paths_find_what_kubectl_finds(path: str, found: list[Any]) -> None:
    assert jsonpath.compile(path)(OBJECT) == found


@pytest.mark.parametrize("path", [".spec[", ".spec[x]", ".a{b}"])
def test_malformed_paths_are_refused(path: str) -> None:
    with pytest.raises(jsonpath.BadPath):
        jsonpath.compile(path)


def test_columns_print_by_their_types() -> None:
    rows = [
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
        {"name": "Ratio", "type": "number", "jsonPath": ".spec.ratio"},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
        {"name": "Image", "type": "string", "jsonPath": ".spec.image", "description": "What runs."},
        {"name": "List", "type": "string", "jsonPath": ".spec.list"},
        {"name": "Wrong", "type": "integer", "jsonPath": ".spec.image"},
        {"name": "None", "type": "string", "jsonPath": ".spec.none"},
        {"name": "Made", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Bad", "type": "date", "jsonPath": ".spec.image"},
    ]
    found = columns.of({"additionalPrinterColumns": rows})
    cells = found.cells(OBJECT, 1767323105.0)
    assert cells == ["x", 3, 1.5, True, "busybox", "[1,2,3]", None, None, "60s", "<invalid>"]
    assert found.definitions[1].to_json() == {
        "name": "Replicas",
        "type": "integer",
        "format": "",
        "description": "Custom resource definition column (in JSONPath format): .spec.replicas",
        "priority": 1,
    }
    assert found.definitions[4].description == "What runs."
    assert [c.name for c in columns.of({}).definitions] == ["Name", "Age"]


def test_selectable_fields_are_texts() -> None:
    readers = columns.readers({"selectableFields": [{"jsonPath": ".spec.on"}, {"jsonPath": ".spec.gone"}]})
    assert {label: columns.show(find(OBJECT)) for label, find in readers.items()} == {
        "spec.on": "true",
        "spec.gone": "",
    }


PATHS: Final = scale.ScalePaths(".spec.replicas", ".status.replicas", ".status.selector")


def test_scale_reads_and_writes_where_the_definition_says() -> None:
    found = PATHS.to_scale({**OBJECT, "status": {"replicas": 2, "selector": "a=b"}})
    assert (found["spec"], found["status"]) == ({"replicas": 3}, {"replicas": 2, "selector": "a=b"})
    asked = {"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 5}}
    changed = PATHS.apply(OBJECT, asked)
    assert (changed["spec"]["replicas"], changed["metadata"]["resourceVersion"]) == (5, "7")
    assert OBJECT["spec"]["replicas"] == 3
    assert PATHS.apply({"metadata": {}}, {"spec": {"replicas": 1}})["spec"] == {"replicas": 1}


def test_scale_needs_replicas() -> None:
    with pytest.raises(errors.ApiError, match=r'the spec replicas field ".spec.replicas" does not exist'):
        PATHS.to_scale({"spec": {}})
    with pytest.raises(errors.ApiError, match="cannot be empty"):
        PATHS.apply({"spec": {}}, {"spec": {}})


def test_a_definition_makes_a_row_for_each_served_version() -> None:
    names = {"kind": "Foo", "plural": "foos", "singular": "foo", "listKind": "FooBag", "shortNames": ["f"]}
    subresources = {"status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}}
    versions = [
        {"name": "v1", "served": True, "storage": True, "subresources": subresources},
        {"name": "v0", "served": False, "storage": False},
    ]
    (row,) = resource.resources_of(
        {"spec": {"group": "ex.io", "scope": "Cluster", "names": names, "versions": versions}}
    )
    assert (row.name, row.list_kind, row.namespaced, row.short_names) == (
        "foos.ex.io",
        "FooBag",
        False,
        ("f",),
    )
    assert [s.name for s in row.subresources] == ["status", "scale"]


WEBHOOK: Final = {"conversionReviewVersions": ["v9", "v1"]}
STORED: Final[dict[str, Any]] = {
    "apiVersion": "ex.io/v1",
    "kind": "Foo",
    "metadata": {"name": "x", "namespace": "n", "uid": "u", "labels": {"a": "b"}},
}


def answer(**changes: Any) -> dict[str, Any]:
    converted = {**STORED, "apiVersion": "ex.io/v2", **changes}
    response = {"uid": "id", "result": {"status": "Success"}, "convertedObjects": [converted]}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response}


def test_a_webhook_may_change_labels_but_no_other_metadata() -> None:
    asked = conversion.review(WEBHOOK, [STORED], "ex.io/v2", "id")
    assert asked["apiVersion"] == "apiextensions.k8s.io/v1"
    meta = {**STORED["metadata"], "labels": {"c": "d"}, "finalizers": ["mine/too"]}
    (found,) = conversion.judge(asked, answer(metadata=meta, spec={"new": 1}))
    assert found["metadata"] == {**STORED["metadata"], "labels": {"c": "d"}}
    assert found["spec"] == {"new": 1}


def response(**changes: Any) -> dict[str, Any]:
    found = answer()
    return {**found, "response": {**found["response"], **changes}}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "not an object"),
        ({**answer(), "kind": "Review"}, "expected webhook response of"),
        ({**answer(), "response": None}, "no response provided"),
        (response(uid="other"), 'expected response.uid="id", got "other"'),
        (response(result={"status": "Failure", "message": "no way"}), "no way"),
        (response(result={}), "response.result.status was '', not 'Success'"),
        (response(convertedObjects=[]), "returned 0 objects, expected 1"),
        (response(convertedObjects={}), "is not a list"),
        (response(convertedObjects=[7]), "not an object"),
        (answer(apiVersion="ex.io/v3"), "invalid groupVersion (expected ex.io/v2, received ex.io/v3)"),
        (answer(kind="Bar"), "invalid kind (expected Foo, received Bar)"),
        (answer(metadata=7), "invalid metadata in converted object"),
        (answer(metadata={**STORED["metadata"], "name": "y"}), "must have the same name: x != y"),
        (answer(metadata={**STORED["metadata"], "uid": "v"}), "must have the same UID: u != v"),
        (answer(metadata={**STORED["metadata"], "labels": {"a": 1}}), "metadata.labels[a] must be a string"),
        (answer(metadata={**STORED["metadata"], "labels": {"a b": "c"}}), "Invalid value"),
        (answer(metadata={**STORED["metadata"], "annotations": []}), "invalid metadata.annotations"),
    ],
)
def test_bad_answers_of_webhooks_are_refused(said: Any, why: str) -> None:
    asked = conversion.review(WEBHOOK, [STORED], "ex.io/v2", "id")
    with pytest.raises(conversion.BadAnswer) as refused:
        conversion.judge(asked, said)
    assert why in str(refused.value)


def test_a_webhook_must_read_a_version_of_the_review_that_there_is() -> None:
    with pytest.raises(conversion.BadAnswer, match="no supported conversion review versions"):
        conversion.review({"conversionReviewVersions": ["v9"]}, [STORED], "ex.io/v2", "id")
