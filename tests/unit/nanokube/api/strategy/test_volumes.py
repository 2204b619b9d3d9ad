"""When a volume says its phase began."""

from typing import Any

import pytest

from nanokube.api import resources, strategy

BEFORE, NOW, SAID = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Bound", "lastPhaseTransitionTime": BEFORE}, NOW),
        ({"phase": "Bound"}, NOW),
        ({"phase": "Bound", "lastPhaseTransitionTime": SAID}, SAID),
        ({"phase": "Available"}, BEFORE),
        ({"phase": "Available", "lastPhaseTransitionTime": SAID}, SAID),
    ],
)
def test_a_new_phase_is_dated(status: dict[str, Any], expected: str) -> None:
    old = {"status": {"phase": "Available", "lastPhaseTransitionTime": BEFORE}}
    new = {"status": status}
    strategy.date_conditions(resources.get("persistentvolumes"), new, old, NOW)
    assert new["status"]["lastPhaseTransitionTime"] == expected


CLAIM, OTHER = {"kind": "PersistentVolumeClaim", "name": "x"}, {"apiGroup": "a.b", "kind": "P", "name": "x"}
AWAY = {**CLAIM, "namespace": "n"}
BOTH = {"dataSource": CLAIM, "dataSourceRef": CLAIM}


@pytest.mark.parametrize(
    ("before", "said", "source", "ref"),
    [
        (BOTH, {"dataSource": CLAIM}, CLAIM, CLAIM),
        (BOTH, {"dataSourceRef": CLAIM}, CLAIM, CLAIM),
        (BOTH, {}, None, None),
        ({}, {"dataSource": CLAIM}, CLAIM, CLAIM),
        ({}, {"dataSource": OTHER}, None, None),
        (BOTH, {"dataSource": OTHER}, OTHER, OTHER),
        ({}, {"dataSourceRef": AWAY}, None, None),
        ({"dataSourceRef": AWAY}, {"dataSourceRef": AWAY}, None, AWAY),
    ],
)
def test_an_update_says_twice_where_data_comes_from(before: Any, said: Any, source: Any, ref: Any) -> None:
    new = {"metadata": {}, "spec": dict(said)}
    strategy.prepare_for_update(
        resources.get("persistentvolumeclaims"), new, {"metadata": {}, "spec": before}
    )
    found = [new["spec"].get(key) for key in ("dataSource", "dataSourceRef")]
    assert [f and {k: v for k, v in f.items() if v} for f in found] == [source, ref]
