"""Which match conditions are known to be false without a look."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.apiserver.admission.policies.prefilter import Prefilter

OBJ = {"metadata": {"name": "web-1", "labels": {"team": "a"}}, "spec": {"replicas": 2, "paused": True}}


@pytest.mark.parametrize(
    ("source", "is_candidate"),
    [
        ("object.metadata.name == 'web-1'", True),
        ("'web-2' == object.metadata.name", False),
        ("object.metadata['name'] == 'web-2'", False),
        ("object.spec.replicas == 3 && size(object.x) > 1", False),
        ("size(object.x) > 1 && object.spec.replicas == 2", True),
        ("object.spec.replicas == '2'", False),
        ("object.spec.paused == true", True),
        ("object.spec.paused == false", False),
        ("object.metadata.name in ['a', 'web-1']", True),
        ("object.metadata.name in ['a', 'b']", False),
        ("object.metadata.name.startsWith('web')", True),
        ("object.metadata.name.startsWith('web-1-and-longer')", False),
        ("object.metadata.name.endsWith('-1')", True),
        ("object.metadata.name.endsWith('')", True),
        ("object.metadata.name.endsWith('-2')", False),
        ("object.metadata.name.contains('b-')", True),
        ("object.metadata.name.contains('x')", False),
        ("object.spec.replicas.startsWith('x')", True),  # an error, which somebody must see
        ("object.metadata.missing == 'x'", True),
        ("has(object.metadata.missing) && object.metadata.missing == 'x'", False),
        ("'missing' in object.metadata.labels && object.metadata.labels.missing == 'x'", False),
        ("has(object.metadata.labels) && object.metadata.labels['missing'] == 'x'", True),
        ("has(object.metadata.labels.missing) && object.metadata.none.missing == 'x'", True),
        ("object.metadata.name == 'x' || true", True),
        ("object.metadata.name != 'web-1'", True),
        ("object.metadata == 'x'", True),
        ("oldObject.metadata.name == 'x'", True),
        ("request.operation == 'DELETE'", False),
        ("not an expression", True),
    ],
)
def test_candidates(source: str, is_candidate: bool) -> None:
    values: dict[str, Any] = {"object": OBJ, "oldObject": None, "request": {"operation": "CREATE"}}
    prefilter = Prefilter[str]()
    is_known = prefilter.add((source,), "one")
    assert (prefilter.candidates(values.__getitem__) == ["one"] or not is_known) is is_candidate


def test_one_false_condition_is_enough() -> None:
    sources = ("object.metadata.missing > 1", "object.metadata.name == 'x'")
    prefilter = Prefilter[str]()
    assert prefilter.add(sources, "one")
    assert prefilter.candidates(lambda name: OBJ) == []
