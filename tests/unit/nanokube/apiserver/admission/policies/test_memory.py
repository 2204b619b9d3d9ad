"""Answers about conditions that read the same."""

from __future__ import annotations

from typing import Any
from unittest import mock

from nanokube.api import steps
from nanokube.api.cel.admission import Scope
from nanokube.api.cel.batch import Batch
from nanokube.api.cel.inputs import How
from nanokube.apiserver.admission.matching.conditions import Conditions
from nanokube.apiserver.admission.policies import memory
from nanokube.apiserver.admission.policies.batches import Batches
from nanokube.apiserver.admission.policies.memory import Memory
from tests.unit.nanokube.apiserver.admission.policies.conftest import MAPS, bind, check, config_map
from tests.unit.nanokube.apiserver.conftest import Api


def _asked(made: Memory[str], number: object, answer: str | None = "x") -> bool:
    """Tell whether somebody was asked."""
    asked = []

    def ask() -> str | None:
        asked.append(number)
        return answer

    assert made.answer({"object": {"a": number}}.get, ask) == answer
    return bool(asked)


def test_the_same_is_asked_once() -> None:
    made = Memory[str](frozenset({(("object", "a"), How.WHOLE)}))
    assert [_asked(made, number) for number in (1, 1, 2, 1, 1.0, True)] == [
        True,
        False,
        True,
        False,
        True,
        True,
    ]
    assert [_asked(made, "n", None) for _ in range(2)] == [True, True]
    assert [_asked(made, "n" * 5000) for _ in range(2)] == [True, True]


def test_what_differs_every_time_is_not_looked_for() -> None:
    made = Memory[str](frozenset({(("object", "a"), How.WHOLE)}))
    assert all(_asked(made, number) for number in range(memory._PATIENCE + 1))
    assert not made._known
    with mock.patch.object(made, "_text_of", side_effect=made._text_of) as text_of:
        assert all(_asked(made, 1) for _ in range(memory._PAUSE))
        assert not text_of.call_count
    assert [_asked(made, 1) for _ in range(2)] == [True, False]


def test_conditions_that_read_different_things_are_apart() -> None:
    forms = ["object.a.map(k, k + '{}').exists(k, k == 'x')", "object.b.map(k, k + '{}').exists(k, k == 'x')"]
    entries = [(Conditions((form.format(n),), True, Scope()), n) for form in forms for n in range(10)]
    made = Batches(entries)
    steps.finish(made.prepare())
    assert len(made._parts) == 2


async def test_answers_are_those_of_the_object(api: Api) -> None:
    for number in range(10):
        condition = f"object.data.map(k, object.data[k] + '{number}').exists(v, v == 'm{number}')"
        spec = {"matchConditions": [{"name": "only", "expression": condition}], **check("false")}
        await bind(api, "validating", spec, name=f"p{number}")
    sent: list[tuple[dict[str, Any], int]] = [({"a": "b"}, 201), ({"a": "m"}, 422), ({"b": "b"}, 201)]
    with mock.patch.object(Batch, "undecided", autospec=True, side_effect=Batch.undecided) as asked:
        for number in range(3):
            for data, code in sent:
                assert (await api("POST", MAPS, config_map(f"c{number}", data))).code in (code, 409)
            if number == 0:
                calls = asked.call_count
    assert calls == asked.call_count > 0
