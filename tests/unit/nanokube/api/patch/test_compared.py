"""What an update sets and what it takes away are found in one walk: both are what they are by themselves."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nanokube.api import facts
from nanokube.api.patch import fieldsets

POD = facts.definition("io.k8s.api.core.v1.Pod").type


@pytest.mark.parametrize(
    ("old", "new", "mine", "gone"),
    [
        ({"spec": {"nodeName": "a"}}, {"spec": {"nodeName": "b"}}, {"f:spec": {"f:nodeName": {}}}, {}),
        (
            {"status": {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "reason": "x"}]}},
            {"status": {"conditions": [{"type": "A", "status": "False"}]}},
            {"f:status": {"f:conditions": {'k:{"type":"A"}': {"f:status": {}}}}},
            {"f:status": {"f:conditions": {'k:{"type":"B"}': {".": {}, "f:type": {}, "f:reason": {}}}}},
        ),
        ({"metadata": {}}, {"metadata": {"generateName": None}}, {}, {}),
        ({"metadata": {"labels": {"a": "1", "b": "2"}}}, {"metadata": {"labels": {"a": "1"}}}, {}, None),
    ],
)
def test_what_was_set_and_what_was_taken_away(
    old: dict[str, Any], new: dict[str, Any], mine: dict[str, Any], gone: dict[str, Any] | None
) -> None:
    expected = {"f:metadata": {"f:labels": {"f:b": {}}}} if gone is None else gone
    assert fieldsets.compared(POD, old, new) == (mine, expected)


def test_one_walk_finds_what_two_find() -> None:
    draw = random.Random(1)
    for _ in range(3000):
        old = _members(draw, POD)
        new = _varied(draw, old) if draw.random() < 0.8 else _members(draw, POD)
        both = fieldsets.changed(POD, old, new), fieldsets.removed(POD, old, new)
        assert fieldsets.compared(POD, old, new) == both, (old, new)


def _members(draw: random.Random, type_: facts.Type) -> dict[str, Any]:
    fields = facts.definition(type_.name).fields
    chosen = draw.sample(list(fields), min(len(fields), draw.randrange(4)))
    return {key: _field(draw, fields[key]) for key in chosen}


def _field(draw: random.Random, field: facts.Field) -> Any:
    found = _value(draw, field.type)
    if type(found) is list and field.list_type == "map":
        for item in found:
            if type(item) is dict:
                item.update((key, draw.choice("ab")) for key in field.list_keys)
    return found


def _value(draw: random.Random, type_: facts.Type) -> Any:
    if draw.random() < 0.05:
        return draw.choice((None, {}, [], "x"))
    if type_.code == "@" and facts.definition(type_.name).fields:
        return _members(draw, type_)
    if type_.item is None:
        return draw.choice(("a", "b", 1, True, "", None))
    if type_.code == "a":
        return [_value(draw, type_.item) for _ in range(draw.randrange(3))]
    return {key: _value(draw, type_.item) for key in draw.sample("abc", draw.randrange(3))}


def _varied(draw: random.Random, value: Any) -> Any:
    if type(value) is dict:
        kept = [key for key in value if draw.random() < 0.9]
        return {key: _varied(draw, value[key]) if draw.random() < 0.7 else "new" for key in kept}
    if type(value) is list:
        kept = [_varied(draw, item) if draw.random() < 0.5 else item for item in value]
        return draw.sample(kept, draw.randint(0, len(kept)))
    return value if draw.random() < 0.7 else draw.choice(("a", 1, None))
