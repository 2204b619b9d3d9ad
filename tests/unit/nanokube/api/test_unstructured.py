"""What a strategic merge patch is refused for, in upstream's words."""

import json
from typing import Any

import pytest

from nanokube.api import facts, unstructured


def definition(kind: str, group: str = "") -> facts.Definition:
    name = facts.name_of(group, "v1", kind)
    assert name is not None
    return facts.definition(name)


@pytest.mark.parametrize(
    ("tree", "refusal"),
    [
        ({"metadata": {"labels": {"a": "b"}}, "spec": {"hostNetwork": True}}, ""),
        ({"metadata": {"labels": "x"}}, "cannot restore map from string"),
        ({"metadata": {"labels": ["x"]}}, "cannot restore map from slice"),
        ({"metadata": {"labels": {"a": 5}}}, "cannot convert int64 to string"),
        ({"metadata": {"labels": {"a": True}}}, "unrecognized type: string"),
        ({"metadata": {"finalizers": {}}}, "cannot restore slice from map"),
        ({"metadata": 5}, "cannot restore struct from: int64"),
        ({"spec": {"activeDeadlineSeconds": "5"}}, "unrecognized type: int64"),
        ({"spec": {"activeDeadlineSeconds": 1.5}}, "cannot convert float64 to int64"),
        ({"spec": {"activeDeadlineSeconds": 2.0}}, ""),
        ({"spec": {"hostNetwork": "x"}}, "unrecognized type: bool"),
        ({"spec": {"containers": [{"image": True}]}}, "unrecognized type: string"),
        (
            {"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": True}}}]}},
            "json: cannot unmarshal bool into Go value of type int32",
        ),
        (
            {"spec": {"containers": [{"resources": {"limits": {"cpu": True}}}]}},
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            {"metadata": {"creationTimestamp": 5}},
            "json: cannot unmarshal number into Go value of type string",
        ),
    ],
)
def test_refusals(tree: dict[str, Any], refusal: str) -> None:
    assert unstructured.refusal(definition("Pod"), tree) == refusal


def test_bytes_are_refused_as_such() -> None:
    secret = definition("Secret")
    found = unstructured.refusal(secret, {"data": {"a": "%%"}})
    assert found == "error decoding from json: illegal base64 data at input byte 0"
    assert unstructured.refusal(secret, {"data": {"a": 5}}) == "cannot restore slice from int64"


def test_trees_are_shown_as_go_does() -> None:
    tree = json.loads('{"b":{"z":"x y","a":[1,2.5,true,null]},"a":{}}')
    assert unstructured.shown(tree) == "map[a:map[] b:map[a:[1 2.5 true <nil>] z:x y]]"
