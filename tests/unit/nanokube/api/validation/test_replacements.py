"""What a change of small kinds is told, and in which order: as a real API server answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.nanokube.api.validation.conftest import Changes

Check = Callable[[str, dict[str, Any], Changes, Changes], list[str]]

IMMUTABLE = "field is immutable"


@pytest.mark.parametrize(
    ("name", "base", "changes", "expected"),
    [
        (
            "priorityclasses.scheduling.k8s.io",
            {"value": 1},
            {"preemptionPolicy": "Odd"},
            [f'preemptionPolicy: Invalid value: "Odd": {IMMUTABLE}'],
        ),
        (
            "servicecidrs.networking.k8s.io",
            {"spec": {"cidrs": ["10.1.0.0/16"]}},
            {"spec.cidrs": []},
            [f"spec.cidrs: Invalid value: []: {IMMUTABLE}"],
        ),
        (
            "servicecidrs.networking.k8s.io",
            {"spec": {"cidrs": ["10.1.0.0/16"]}},
            {"spec.cidrs": ["z"]},
            [f'spec.cidrs[0]: Invalid value: "z": {IMMUTABLE}'],
        ),
        (
            "servicecidrs.networking.k8s.io",
            {"spec": {"cidrs": ["10.1.0.0/16"]}},
            {"spec.cidrs": ["10.1.0.0/16", "10.2.0.0/16"]},
            ["spec.cidrs: Invalid value: "],
        ),
        (
            "servicecidrs.networking.k8s.io",
            {"spec": {"cidrs": ["10.1.0.0/16"]}},
            {"spec.cidrs": ["10.1.0.0/16", "fd00::/112"]},
            [],
        ),
        (
            "ingressclasses.networking.k8s.io",
            {"spec": {"controller": "a.b/c"}},
            {"spec": {}},
            [f'spec.controller: Invalid value: "": {IMMUTABLE}', "spec.controller: Required value"],
        ),
        (
            "storageclasses.storage.k8s.io",
            {"provisioner": "a.b/c"},
            {"provisioner": ""},
            ["provisioner: Required value", f'provisioner: Invalid value: "": {IMMUTABLE}'],
        ),
    ],
)
def test_what_a_change_is_told(
    update_refusals: Check, name: str, base: dict[str, Any], changes: Changes, expected: list[str]
) -> None:
    found = update_refusals(name, base, {}, changes)
    assert [text[: len(e)] for text, e in zip(found, expected, strict=True)] == expected
