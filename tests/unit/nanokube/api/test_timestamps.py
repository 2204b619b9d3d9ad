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
