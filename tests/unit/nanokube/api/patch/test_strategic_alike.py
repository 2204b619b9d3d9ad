"""Strategic merge patch of lists that the patch has in full: merged item by item, to the same end."""

from __future__ import annotations

from typing import Any

import pytest

from nanokube.api import errors, facts, patch

POD = facts.definition("io.k8s.api.core.v1.Pod")


@pytest.mark.parametrize(
    ("before", "items", "after"),
    [
        ("AB", "ab", "ab"),
        ("AB", "ba", "ba"),
        ("AA", "aa", "a"),
        ("A", "ab", "ab"),
        ("AB", "a", "aB"),
    ],
)
def test_items_are_merged_by_key_in_the_order_of_the_patch(before: str, items: str, after: str) -> None:
    """Capitals are what the server has, small letters what the patch says of the same key."""
    found = patch.apply_strategic_patch(POD, _status(before), _status(items))
    expected = _status(after)["status"]["conditions"]
    seen = [{k: v for k, v in each.items() if k != "kept"} for each in found["status"]["conditions"]]
    assert seen[: len(after)] == expected


def test_what_the_patch_does_not_say_stays() -> None:
    before = {"status": {"conditions": [{"type": "a", "reason": "r"}, {"type": "b", "message": "m"}]}}
    change = {"status": {"conditions": [{"type": "a", "status": "x"}, {"type": "b", "message": None}]}}
    found = patch.apply_strategic_patch(POD, before, change)
    assert found["status"]["conditions"] == [{"type": "a", "reason": "r", "status": "x"}, {"type": "b"}]


def test_directives_of_items_are_obeyed_where_the_lists_are_alike() -> None:
    change = {"status": {"conditions": [{"type": "a", "$patch": "delete"}, {"type": "b", "status": "y"}]}}
    found = patch.apply_strategic_patch(POD, _status("AB"), change)
    assert [each["type"] for each in found["status"]["conditions"]] == ["b"]


def _status(names: str) -> dict[str, Any]:
    conditions = [{"type": name.lower(), "status": "old" if name.isupper() else "new"} for name in names]
    return {"status": {"conditions": conditions}}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"$patch": "odd", "data": {"a": "1"}},
         "unknown patch type: odd in map: map[$patch:odd data:map[a:1]]"),
        ({"$retainKeys": ["x"], "data": {}}, "invalid patch format of retainKeys"),
        ({"metadata": {"ownerReferences": [{"name": "p"}]}},
         "map: map[name:p] does not contain declared merge key: uid"),
    ],
)  # fmt: skip
def test_malformed_patches_are_refused_in_upstreams_words(body: dict[str, Any], said: str) -> None:
    definition = facts.definition("io.k8s.api.core.v1.ConfigMap")
    target: dict[str, Any] = {"metadata": {"ownerReferences": []}}
    with pytest.raises(errors.ApiError) as refused:
        patch.apply_strategic_patch(definition, target, body)
    assert refused.value.message == said
