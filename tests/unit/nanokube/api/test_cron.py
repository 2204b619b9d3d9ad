"""Schedules as tables: what comes next, and what is no schedule."""

import datetime
import doctest

import pytest

from nanokube.api import cron
from nanokube.api.validation import batch


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
    ("schedule", "expected"),
    [
        ("", "empty spec string"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/1/2 * * * *", "too many slashes: */1/2"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("+-1 * * * *", 'failed to parse int from +: strconv.Atoi: parsing "+": invalid syntax'),
        ("@often", "unrecognized descriptor: @often"),
        ("@every x", 'failed to parse duration @every x: time: invalid duration "x"'),
    ],
)
def test_no_schedule(schedule: str, expected: str) -> None:
    assert cron.problem(schedule) == expected


@pytest.mark.parametrize("schedule", ["@every 1h", "@daily", "*/5 1-3 * jan,3 mon", "5/20 ? * * *"])
def test_cron_jobs_are_read_by_the_same_parser(schedule: str) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": []}}
    spec = {"schedule": schedule, "jobTemplate": {"spec": {"template": template}}}
    found = batch.validate_cron_job({"metadata": {"name": "c"}, "spec": spec})
    assert not [each for each in found if each.path == "spec.schedule"]


def test_examples_hold() -> None:
    assert doctest.testmod(cron).failed == 0
