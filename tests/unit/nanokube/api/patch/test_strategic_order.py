"""Strategic merge patch: order of merged lists and $retainKeys, as upstream's tests expect them."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import errors, facts, patch

POD = facts.definition("io.k8s.api.core.v1.Pod")
DEPLOYMENT = facts.definition("io.k8s.api.apps.v1.Deployment")


def _items(names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


def _gone(name: str) -> dict[str, Any]:
    return {"name": name, "$patch": "delete"}


@pytest.mark.parametrize(
    ("before", "order", "items", "after"),
    [
        ("abc", None, _items("ca"), "bca"),
        ("ab", None, _items("c"), "cab"),
        ("ab", None, [*_items("c"), _gone("a")], "cb"),
        ("ax", "abc", _items("bc"), "abcx"),
        ("axc", "ca", [], "xca"),
        ("abd", "bc", [*_items("c"), _gone("a")], "bdc"),
        ("ad", "bc", [*_items("bc"), _gone("a")], "dbc"),
        ("", "ab", _items("ab"), "ab"),
    ],
)
def test_order_of_a_merged_list(
    before: str, order: str | None, items: list[dict[str, Any]], after: str
) -> None:
    change: dict[str, Any] = {"containers": items} if items else {}
    if order is not None:
        change["$setElementOrder/containers"] = _items(order)
    found = patch.apply_strategic_patch(POD, {"spec": {"containers": _items(before)}}, {"spec": change})
    assert "".join(item["name"] for item in found["spec"]["containers"]) == after


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("abd", {"finalizers": ["c"], "$setElementOrder/finalizers": ["a", "b", "c"]}, "abcd"),
        ("adb", {"finalizers": ["c"], "$setElementOrder/finalizers": ["c", "a", "b"]}, "cadb"),
        ("abc", {"$deleteFromPrimitiveList/finalizers": ["b"]}, "ac"),
        ("abc", {"finalizers": ["c", "a"]}, "bca"),
    ],
)
def test_order_of_a_merged_list_of_strings(before: str, change: dict[str, Any], after: str) -> None:
    found = patch.apply_strategic_patch(POD, {"metadata": {"finalizers": list(before)}}, {"metadata": change})
    assert found["metadata"]["finalizers"] == list(after)


def test_list_must_stand_in_the_order_asked_for() -> None:
    change = {"containers": _items("ab"), "$setElementOrder/containers": _items("ba")}
    with pytest.raises(errors.ApiError, match=r"doesn't match \$setElementOrder list"):
        patch.apply_strategic_patch(POD, {}, {"spec": change})


def test_retained_keys_let_a_union_change_its_member() -> None:
    """What `kubectl apply` sends to turn RollingUpdate into Recreate."""
    before = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    change = {"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": None, "type": "Recreate"}}}
    found = patch.apply_strategic_patch(DEPLOYMENT, before, change)
    assert found == {"spec": {"strategy": {"type": "Recreate"}}}
