from __future__ import annotations

import pytest

from scripts.bench import turns
from scripts.bench.turns import Turn


def test_every_other_round_goes_backwards() -> None:
    assert [list(each) for each in turns.orders("AB", 4)] == [["A", "B"], ["B", "A"], ["A", "B"], ["B", "A"]]
    assert [list(each) for each in turns.orders("A", 2)] == [["A"], ["A"]]


@pytest.mark.parametrize(
    ("ratios", "told"),
    [([5.06], "5.1"), ([4.0, 9.0, 5.0], "5.0 (4.0 to 9.0)"), ([4.0, 6.0], "5.0 (4.0 to 6.0)")],
)
def test_a_ratio_is_the_median_of_the_rounds(ratios: list[float], told: str) -> None:
    assert turns.ratio(ratios) == told


@pytest.mark.parametrize(
    ("name", "ratios", "told"),
    [
        ("GET, 1 connection", [5.2], "5 met"),
        ("GET, 16", [4.9], "5 missed"),
        ("CREATE, 16", [3.9, 4.1, 4.4], "4 met (2 of 3)"),
        ("WATCH 100, flat out", [2.4, 2.7, 4.1], "3 missed (1 of 3)"),
        ("WATCH 1000, flat out", [2.2], "1.5 met"),
        ("WATCH 1000, 20 writes/s", [1.1], ""),
    ],
)
def test_the_median_decides_whether_a_promise_is_kept(name: str, ratios: list[float], told: str) -> None:
    assert turns.verdict(name, ratios) == told


def test_a_cell_takes_the_median_turn_and_all_latencies() -> None:
    quiet = Turn(1000.0, 0.004, [0.001] * 10)
    busy = Turn(100.0, 0.9, [0.009] * 10)
    assert turns.cell([quiet, quiet, busy]) == "1,000; 1.00/9.0; 0.400"


def test_a_cell_tells_failures_of_any_turn() -> None:
    fine, bad = Turn(10.0, 0.01, [0.001]), Turn(10.0, 0.01, [0.001], errors=2, lost=1)
    assert turns.cell([fine, bad, bad]).endswith("; 4 errors; 2 lost")
    assert turns.cell([Turn(0.0, 0.0, [])]) == "0.0; 0.00/0.0; 0.000"


def test_ratios_are_of_the_turns_of_one_round() -> None:
    ours = [Turn(500.0, 0.01, [0.001] * 10), Turn(50.0, 0.1, [0.001] * 10)]
    theirs = [Turn(100.0, 0.04, [0.001] * 10), Turn(10.0, 0.4, [0.001] * 10)]
    title, _, line = turns.table({"GET, 16": [ours, theirs]}, ["nanokube", "peer"])
    assert [each.strip() for each in title.split("|")[1:-1]] == [
        "",
        "nanokube",
        "peer",
        "rate",
        "CPU",
        "promised",
    ]
    assert [each.strip() for each in line.split("|")[4:-1]] == [
        "5.0 (5.0 to 5.0)",
        "4.0 (4.0 to 4.0)",
        "5 met (2 of 2)",
    ]


def test_a_server_alone_has_no_ratios() -> None:
    lines = turns.table({"GET, 16": [[Turn(5.0, 0.01, [0.001])]]}, ["nanokube"])
    assert len({len(each) for each in lines}) == 1
    assert lines[2] == "| GET, 16 | 5.0; 1.00/1.0; 10.000 |"
