"""Who manages an object's replicas, and who its Scale's."""

from __future__ import annotations

from typing import Any

from nanokube.api import scale
from nanokube.api.patch import entries

NOW = "2026-01-02T03:04:05Z"
MINE: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
BOTH: dict[str, Any] = {"f:spec": {"f:replicas": {}, "f:selector": {}}}
REST: dict[str, Any] = {"f:spec": {"f:selector": {}}}


def entry(manager: str, operation: str, fields: dict[str, Any], *, scaled: bool = False) -> entries.Entry:
    return entries.entry_of(manager, operation, "apps/v1", NOW, fields, "scale" if scaled else "")


def shown(found: list[entries.Entry]) -> list[tuple[str, str, str, Any]]:
    return [(e["manager"], e["operation"], e["apiVersion"], e["fieldsV1"]) for e in found]


def test_managers_of_replicas_are_the_scales() -> None:
    parent = [entry("a", "Apply", BOTH), entry("b", "Update", REST), entry("c", "Update", MINE, scaled=True)]
    found = scale.managers(parent, "apps/v1")
    assert shown(found) == [("a", "Apply", "autoscaling/v1", MINE), ("c", "Update", "autoscaling/v1", MINE)]
    assert scale.managers(parent, "apps/v2") == []


def test_who_lost_the_scale_loses_the_replicas() -> None:
    parent = [entry("a", "Apply", BOTH), entry("b", "Update", MINE, scaled=True)]
    scaled = [{**entry("c", "Apply", MINE, scaled=True), "apiVersion": "autoscaling/v1"}]
    found = scale.managers_of_parent(parent, scaled, "apps/v1")
    assert shown(found) == [("a", "Apply", "apps/v1", REST), ("c", "Apply", "apps/v1", MINE)]


def test_who_keeps_the_scale_keeps_the_replicas() -> None:
    parent = [entry("a", "Apply", BOTH), entry("b", "Update", MINE)]
    found = scale.managers_of_parent(parent, scale.managers(parent, "apps/v1"), "apps/v1")
    assert found == parent


def test_replicas_may_be_elsewhere() -> None:
    path = ("spec", "size", "wanted")
    fields: dict[str, Any] = {"f:spec": {"f:size": {"f:wanted": {}}}}
    parent = [entry("a", "Update", {"f:spec": {"f:size": {"f:wanted": {}, "f:most": {}}}})]
    assert shown(scale.managers(parent, "apps/v1", path)) == [("a", "Update", "autoscaling/v1", MINE)]
    scaled = [{**entry("b", "Update", MINE, scaled=True), "apiVersion": "autoscaling/v1"}]
    found = scale.managers_of_parent(parent, scaled, "apps/v1", path)
    assert shown(found) == [
        ("a", "Update", "apps/v1", {"f:spec": {"f:size": {"f:most": {}}}}),
        ("b", "Update", "apps/v1", fields),
    ]
