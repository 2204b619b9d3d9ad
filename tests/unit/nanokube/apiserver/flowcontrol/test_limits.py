"""How seats are divided: shares, lending, borrowing, and how long who is refused should wait."""

from __future__ import annotations

import pytest

from nanokube.api import flow_defaults
from nanokube.apiserver.flowcontrol import limits
from nanokube.apiserver.flowcontrol.limits import Demand, Limits, Wanted
from nanokube.apiserver.flowcontrol.refusals import Refusals


def test_default_levels_have_upstreams_seats() -> None:
    specs = {**flow_defaults.MANDATORY_LEVELS, **flow_defaults.SUGGESTED_LEVELS}
    found = limits.of_levels(specs)
    assert {name: (each.nominal, each.least) for name, each in found.items()} == {
        "exempt": (0, 0),
        "catch-all": (13, 13),
        "system": (74, 50),
        "node-high": (98, 73),
        "leader-election": (25, 25),
        "workload-high": (98, 49),
        "workload-low": (245, 24),
        "global-default": (49, 24),
    }
    assert found["workload-low"].most == sum(each.nominal for each in found.values())


def test_borrowing_may_be_limited() -> None:
    limited = {"nominalConcurrencyShares": 10, "borrowingLimitPercent": 50, "lendablePercent": 20}
    found = limits.of_levels({"a": {"type": "Limited", "limited": limited}}, 100)
    assert found["a"] == Limits(100, 80, 150)


@pytest.mark.parametrize(
    ("total", "items", "expected"),
    [
        (30.0, [(0.0, 100.0, 1.0), (0.0, 100.0, 2.0)], [10.0, 20.0]),
        (30.0, [(0.0, 5.0, 1.0), (0.0, 100.0, 2.0)], [5.0, 25.0]),
        (30.0, [(20.0, 100.0, 20.0), (0.0, 100.0, 20.0)], [20.0, 10.0]),
        (30.0, [(0.0, 10.0, 0.0), (0.0, 10.0, 5.0)], [10.0, 10.0]),
    ],
)
def test_division_within_bounds(
    total: float, items: list[tuple[float, float, float]], expected: list[float]
) -> None:
    assert limits.allocate(total, items) == pytest.approx(expected)


def test_an_idle_level_lends_and_gets_its_seats_back() -> None:
    idle = Wanted(Limits(50, 10, 100), is_exempt=False, high=0)
    busy = Wanted(Limits(50, 10, 100), is_exempt=False, high=200, smoothed=200.0)
    assert limits.adjust({"a": idle, "b": busy}) == {"a": 10, "b": 90}
    assert limits.adjust({"a": busy, "b": busy}) == {"a": 50, "b": 50}
    exempt = Wanted(Limits(0, 0, 100), is_exempt=True, high=30)
    assert limits.adjust({"a": busy, "b": busy, "x": exempt}) == {"a": 35, "b": 35, "x": 30}


def test_demand_is_smoothed() -> None:
    demand = Demand()
    demand.set(10, 0.0)
    demand.set(0, 5.0)
    demand.close(10.0)
    assert (demand.high, demand.average, demand.deviation, demand.smoothed) == (10, 5.0, 5.0, 10.0)
    demand.close(20.0)
    assert (demand.high, demand.average) == (0, 0.0)
    assert demand.smoothed == pytest.approx(9.77)


def test_clients_are_sent_away_longer_the_more_come() -> None:
    refusals = Refusals()
    waits = []
    for second in range(1, 60):
        for _ in range(10):
            refusals.note(second + 0.5)
        waits.append(refusals.retry_after_s)
    assert waits[0] == 1
    assert 4 <= waits[-1] <= 32
    for second in range(100, 400, 40):
        refusals.note(float(second))
    assert refusals.retry_after_s < waits[-1]
