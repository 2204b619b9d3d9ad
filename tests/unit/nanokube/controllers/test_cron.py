"""Schedules as tables: what comes next, and what is no schedule."""

import datetime
import doctest

import pytest

from nanokube.controllers import cron, job_indexes


def at(text: str, zone: str = "UTC") -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=cron.time_zone(zone)).timestamp()


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        ("* * * * *", "UTC", "2024-01-01T00:00:00", "2024-01-01T00:01:00"),
        ("*/15 * * * *", "UTC", "2024-01-01T00:15:00", "2024-01-01T00:30:00"),
        ("5/20 * * * *", "UTC", "2024-01-01T00:26:00", "2024-01-01T00:45:00"),
        ("0 0 29 2 *", "UTC", "2024-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 31 * ?", "UTC", "2024-04-01T00:00:00", "2024-05-31T00:00:00"),
        ("0 0 1 * MON", "UTC", "2024-01-02T00:00:00", "2024-01-08T00:00:00"),  # either day field
        ("0 0 1-7 * *", "UTC", "2024-01-07T01:00:00", "2024-02-01T00:00:00"),
        ("0 9 * dec Mon-Fri", "UTC", "2024-12-06T10:00:00", "2024-12-09T09:00:00"),
        ("@hourly", "UTC", "2024-01-01T00:59:59", "2024-01-01T01:00:00"),
        ("@weekly", "UTC", "2024-01-01T00:00:00", "2024-01-07T00:00:00"),
        ("@yearly", "UTC", "2024-01-01T00:00:00", "2025-01-01T00:00:00"),
        ("@every 1h30m", "UTC", "2024-01-01T00:00:10", "2024-01-01T01:30:10"),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2024-03-30T03:00:00",
            "2024-04-01T02:30:00",
        ),  # 31st: 2:30 is skipped
        ("0 0 * * *", "Asia/Tokyo", "2024-01-01T12:00:00", "2024-01-02T00:00:00"),
    ],
)
def test_next(schedule: str, zone: str, after: str, expected: str) -> None:
    found = cron.parse(schedule, cron.time_zone(zone)).next_after(at(after, zone))
    assert found == at(expected, zone)


def test_an_hour_that_is_repeated_happens_twice() -> None:
    schedule = cron.parse("TZ=Europe/Berlin 0 * * * *")
    moment = at("2024-10-27T00:30:00")  # 2:30 in Berlin, for the first time
    assert schedule.next_after(moment) == at("2024-10-27T01:00:00")


def test_what_never_happens_has_no_next() -> None:
    assert cron.parse("0 0 30 2 *").next_after(0) is None


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * * *",
        "60 * * * *",
        "* * * * 7",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "@often",
        "@every x",
    ],
)
def test_no_schedule(schedule: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        cron.parse(schedule)


def test_examples_hold() -> None:
    for module in (cron, job_indexes):
        assert doctest.testmod(module).failed == 0
