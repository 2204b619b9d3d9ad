"""Where items of a list stand after somebody applied some of them."""

from __future__ import annotations

import random

import pytest

from nanokube.api import facts, patch
from nanokube.api.patch import order

NOW = "2026-01-02T03:04:05Z"


def merged(live: str, applied: str) -> str:
    places = order.merged(live, applied)
    return "".join(applied[to] if to is not None else live[at or 0] for at, to in places)


@pytest.mark.parametrize(
    ("live", "applied", "expected"),
    [
        ("ab", "ab", "ab"),
        ("ab", "ba", "ba"),
        ("abc", "ca", "bca"),
        ("b", "ab", "ab"),
        ("ab", "xby", "axby"),
        ("", "ba", "ba"),
        ("ab", "", "ab"),
        ("axb", "ba", "xba"),
        ("aa", "a", "a"),
    ],
)
def test_the_applied_order_wins_among_what_both_have(live: str, applied: str, expected: str) -> None:
    assert merged(live, applied) == expected


def test_nothing_is_lost_and_each_keeps_its_order() -> None:
    draw = random.Random(1)
    for _ in range(2000):
        live, applied = ("".join(draw.sample("abcdef", draw.randrange(7))) for _ in range(2))
        found = merged(live, applied)
        assert sorted(found) == sorted({*live, *applied})
        assert "".join(c for c in found if c in applied) == applied
        only = [c for c in live if c not in applied]
        assert [c for c in found if c in only] == only


def test_init_containers_change_places_by_an_apply() -> None:
    pod = facts.definition("io.k8s.api.core.v1.Pod")

    def spec(*names: str) -> dict[str, object]:
        return {"spec": {"initContainers": [{"name": name, "image": "i"} for name in names]}}

    live = patch.apply_configuration(pod, None, spec("a", "b"), manager="m", force=False, now=NOW)
    found = patch.apply_configuration(pod, live, spec("b", "a"), manager="m", force=False, now=NOW)
    assert [each["name"] for each in found["spec"]["initContainers"]] == ["b", "a"]


def test_who_applies_an_empty_list_owns_nothing() -> None:
    pod = facts.definition("io.k8s.api.core.v1.Pod")
    config: dict[str, object] = {"metadata": {"finalizers": []}, "spec": {"nodeName": "n"}}
    found = patch.apply_configuration(pod, None, config, manager="m", force=False, now=NOW)
    assert found["metadata"]["managedFields"][0]["fieldsV1"] == {"f:spec": {"f:nodeName": {}}}
