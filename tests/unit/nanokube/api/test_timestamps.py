"""Times as Kubernetes writes them."""

from __future__ import annotations

import doctest

import pytest

from nanokube.api import timestamps


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "2026-02-28T12:00:00Z"]
)
def test_times_of_any_year_survive_a_round_trip(text: str) -> None:
    assert timestamps.format_time(timestamps.parse(text)) == text
    assert timestamps.format_micro(timestamps.parse(text)) == f"{text[:-1]}.000000Z"


def test_examples() -> None:
    assert not doctest.testmod(timestamps).failed


def test_no_time_is_read_that_could_not_be_written() -> None:
    assert timestamps.format_time(timestamps.parse("9999-12-31T23:59:59Z")) == "9999-12-31T23:59:59Z"
    with pytest.raises(ValueError, match="after the year 9999"):
        timestamps.parse("9999-12-31T23:59:59-01:00")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x", ' as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'),
        ("2026-1-02", ' as "2006-01-02T15:04:05Z07:00": cannot parse "1-02" as "01"'),
        ("2026-11-02T03:04:05", ' as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00"'),
        ("2026-13-02T03:04:05Z", ": month out of range"),
        ("2026-02-30T03:04:05Z", ": day out of range"),
        ("2026-02-03T24:04:05Z", ": hour out of range"),
        ("2026-02-03T04:05:06Zx", ': extra text: "x"'),
    ],
)
def test_faults_are_told_in_go_s_words(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match="cannot parse"):
        timestamps.parse(text)
    assert timestamps.fault(text) == f'parsing time "{text}"{fault}'
