"""Match conditions evaluated together, by the requests that they decide about."""

from __future__ import annotations

from unittest import mock

import pytest

from nanokube.api.cel.admission import Scope
from nanokube.apiserver.admission.matching.conditions import Conditions
from nanokube.apiserver.admission.policies import batches
from nanokube.apiserver.admission.policies.batches import Batches
from tests.unit.nanokube.apiserver.admission.policies.conftest import MAPS, bind, check, config_map
from tests.unit.nanokube.apiserver.conftest import Api


def _entries(*sources: str) -> list[tuple[Conditions, str]]:
    return [(Conditions((source,), True, Scope()), source) for source in sources]


def _compilations(entries: list[tuple[Conditions, str]], requests: int) -> int:
    """Count the buckets that so many requests compile."""
    made: Batches[str] = Batches(entries)
    bucket = mock.Mock(parts=frozenset())
    bucket.undecided.return_value = []
    bucket.batch.size = 1000
    with mock.patch.object(batches, "Bucket", return_value=bucket) as compiled:
        for _ in range(requests):
            made.candidates(mock.Mock())
    return compiled.call_count


@pytest.fixture(autouse=True)
def _forget() -> None:
    batches._buckets.clear()


def test_one_bucket_a_request_is_compiled() -> None:
    entries = _entries(*(f"object.a.exists(x, x == {n})" for n in range(1000)))
    assert [_compilations(entries, 3), _compilations(entries, 20), _compilations(entries, 9)] == [3, 5, 0]


def test_a_change_of_one_condition_compiles_one_bucket() -> None:
    sources = [f"object.a.exists(x, x == {n})" for n in range(1000)]
    _compilations(_entries(*sources), 10)
    assert _compilations(_entries(*sources[:500], *sources[501:]), 10) == 1


def test_small_ones_are_put_together() -> None:
    assert batches.packs([100, 200, 100, 1, 500, 20, 380, 1]) == [[0, 1, 2], [3], [4], [5, 6], [7]]


async def test_many_alike_are_found_as_one_by_one(api: Api) -> None:
    conditions = {f"p{n}": f"object.data.exists(k, k == 'k{n}')" for n in range(8)}
    conditions |= {f"q{n}": f"object.metadata.name.matches('^c{n}-')" for n in range(8)}
    with mock.patch.object(batches, "SIZE", 4):
        for name, condition in conditions.items():
            spec = {"matchConditions": [{"name": "only", "expression": condition}], **check("false")}
            await bind(api, "validating", spec, name=name)
        for number in range(9):  # compiles the buckets, then puts them together
            assert (await api("POST", MAPS, config_map(f"d{number}"))).code == 201
        refused = await api("POST", MAPS, config_map("d", {"k3": ""}))
        assert "'p3'" in refused.json["message"]
        refused = await api("POST", MAPS, config_map("c5-x"))
        assert "'q5'" in refused.json["message"]
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
        "asks": "authorizer.group('').resource('pods').check('create').allowed()",
    }
    found = await _answers(api, conditions)
    assert [name for name, count in found.items() if count == 3] == [
        "true-1",
        "true-2",
        "true-3",
        "true-4",
        "error",
        "asks",
    ]
    assert sum(found.values()) == 18
