"""Match conditions evaluated together, by the requests that they decide about."""

from __future__ import annotations

from unittest import mock

import pytest

from nanokube.api import steps
from nanokube.api.cel.admission import Scope
from nanokube.apiserver.admission.matching.conditions import Conditions
from nanokube.apiserver.admission.policies import batches
from nanokube.apiserver.admission.policies.batches import Batches
from tests.unit.nanokube.apiserver.admission.policies.conftest import MAPS, bind, check, config_map
from tests.unit.nanokube.apiserver.conftest import Api


def _entries(*sources: str) -> list[tuple[Conditions, str]]:
    return [(Conditions((source,), True, Scope()), source) for source in sources]


def _compilations(entries: list[tuple[Conditions, str]]) -> int:
    """Count the buckets that are compiled."""
    made: Batches[str] = Batches(entries)
    with mock.patch.object(batches, "_bucket", side_effect=batches._bucket) as compiled:
        steps.finish(made.prepare())
    return compiled.call_count


@pytest.fixture(autouse=True)
def _forget() -> None:
    batches._buckets.clear()


def test_a_change_of_one_condition_compiles_one_bucket() -> None:
    sources = [f"object.a.exists(x, x == {n})" for n in range(40)]
    with mock.patch.object(batches, "SIZE", 8):
        assert _compilations(_entries(*sources)) == 8
        assert _compilations(_entries(*sources)) == 0
        assert _compilations(_entries(*sources[:20], *sources[21:])) == 1


@pytest.mark.parametrize(
    "form",
    [
        "object.a.exists(x, x == {})",
        "size(object.a) > {}",
        "object.a == {} && quantity(object.b).isGreaterThan(quantity('{}'))",
    ],
)
def test_each_condition_is_a_step(form: str) -> None:
    entries = _entries(*(form.format(n, n) for n in range(40)))
    assert sum(1 for _ in Batches(entries).prepare()) > 40


def test_small_ones_are_put_together() -> None:
    assert batches.packs([100, 200, 100, 1, 500, 20, 380, 1], 400) == [[0, 1, 2], [3], [4], [5, 6], [7]]


async def test_many_alike_are_found_as_one_by_one(api: Api) -> None:
    conditions = {f"p{n}": f"object.data.exists(k, k == 'k{n}')" for n in range(8)}
    conditions |= {f"q{n}": f"object.metadata.name.matches('^c{n}-')" for n in range(8)}
    # what the runtime must be asked
    conditions |= {f"r{n}": f"object.data.map(k, k + '{n}').exists(k, k == 'm{n}')" for n in range(8)}
    with mock.patch.object(batches, "SIZE", 4):
        for name, condition in conditions.items():
            spec = {"matchConditions": [{"name": "only", "expression": condition}], **check("false")}
            await bind(api, "validating", spec, name=name)
        assert (await api("POST", MAPS, config_map("e"))).code == 201
        refused = await api("POST", MAPS, config_map("d", {"k3": ""}))
        assert "'p3'" in refused.json["message"]
        refused = await api("POST", MAPS, config_map("c5-x"))
        assert "'q5'" in refused.json["message"]
        refused = await api("POST", MAPS, config_map("d", {"m": ""}))
        assert "'r0'" in refused.json["message"]
        assert (await api("POST", MAPS, config_map("d"))).code == 201


async def _answers(api: Api, conditions: dict[str, str]) -> dict[str, int]:
    """Count for each policy how often a warning of it came, over three writes that differ in nothing."""
    for name, condition in conditions.items():
        spec = {
            "matchConditions": [{"name": "only", "expression": condition}],
            "failurePolicy": "Ignore" if name.startswith("ignore") else "Fail",
            **check("false", message=name),
        }
        await bind(api, "validating", spec, name=name, actions=["Warn"])
    found = dict.fromkeys(conditions, 0)
    for number in range(3):
        reply = await api("POST", MAPS, config_map(f"c{number}"))
        assert reply.code == 201, reply.json
        for warning in reply.headers.getall("warning"):
            for name in conditions:
                found[name] += f"'{name}'" in warning
    return found


async def test_those_whose_conditions_hold_are_asked(api: Api) -> None:
    conditions = {
        "true-1": "object.data.exists(k, k == 'a')",
        "true-2": "object.metadata.name.matches('^c[0-9]$')",
        "true-3": "size(object.data) == 1 && !has(object.metadata.labels)",
        "true-4": "request.userInfo.username != 'nobody'",
        "false-1": "object.data.exists(k, k == 'b')",
        "false-2": "object.metadata.name.matches('^d')",
        "false-3": "size(object.data) == 2",
        "ignore": "object.metadata.missing > 1",
        "error": "object.metadata.missing > 2",
        "true-5": "object.data.map(k, k + 'x').exists(k, k == 'ax')",
        "false-4": "object.data.map(k, k + 'y').exists(k, k == 'ax')",
        "asks": "authorizer.group('').resource('pods').check('create').allowed()",
    }
    found = await _answers(api, conditions)
    assert [name for name, count in found.items() if count == 3] == [
        "true-1",
        "true-2",
        "true-3",
        "true-4",
        "error",
        "true-5",
        "asks",
    ]
    assert sum(found.values()) == 21
