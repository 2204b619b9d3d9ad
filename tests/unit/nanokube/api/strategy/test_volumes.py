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
