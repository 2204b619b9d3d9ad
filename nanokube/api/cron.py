"""Cron schedules: five fields, "@hourly" and its like, "@every 90m", in any time zone. Pure.

The rules are those of the parser Kubernetes uses, not of every cron: weekdays are 0 to 6, "?" is "*", and a
day must fit both day fields if one of them is "*", else either. Wall-clock times that a change of clocks
skips do not happen; hours that it repeats happen twice. Both the validation of CronJobs and their controller
read schedules here; croniter and cronsim follow other crons (a weekday 7, "L" and "#", other clock changes).
Source: github.com/robfig/cron/v3 (parser.go, spec.go, constantdelay.go); messages are its own.

>>> parse("*/15 0 1,15 * 1-5").next_after(0.0)
900.0
>>> parse("@every 1h30m").next_after(10.5)
5410.0
"""

import dataclasses
import datetime
import math
import re
import zoneinfo
from typing import Final, Protocol

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
DURATION: Final = r"(\d+\.?\d*|\.\d+)(h|ms|m|us|µs|ns|s)"
UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
# lowest and highest value, names of values
FIELDS: Final[tuple[tuple[int, int, tuple[str, ...]], ...]] = (
    (0, 59, ()),  # minute
    (0, 23, ()),  # hour
    (1, 31, ()),  # day of month
    (1, 12, MONTHS),
    (0, 6, DAYS),
)
SEARCH_YEARS: Final = 5  # spec.go: what does not happen within five years never does


class Schedule(Protocol):
    """Tells when something happens next."""

    def next_after(self, moment: float) -> float | None:
        """Give the first time after moment, both in seconds since the epoch; None if it never comes."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Every:
    """At a fixed delay of whole seconds."""

    seconds: int

    def next_after(self, moment: float) -> float | None:
        """Give the time one delay after moment."""
        return float(math.floor(moment) + self.seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class Calendar:
    """At the minutes that match five sets. any_day: whether one of the day fields is "*"."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    zone: datetime.tzinfo

    def next_after(self, moment: float) -> float | None:
        """Give the first matching minute after moment."""
        at = (math.floor(moment) // 60 + 1) * 60
        local = datetime.datetime.fromtimestamp(at, self.zone)
        last_year = local.year + SEARCH_YEARS
        while local.year <= last_year:
            if local.month not in self.months:
                at = self._midnight(local.year + local.month // 12, local.month % 12 + 1, 1)
            elif not self._is_day(local):
                following = local.date() + datetime.timedelta(days=1)
                at = self._midnight(following.year, following.month, following.day)
            elif local.hour not in self.hours:
                at += 3600 - local.minute * 60
            elif local.minute not in self.minutes:
                at += 60
            else:
                return float(at)
            local = datetime.datetime.fromtimestamp(at, self.zone)
        return None

    def _is_day(self, local: datetime.datetime) -> bool:
        day, weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return (day and weekday) if self.any_day else (day or weekday)

    def _midnight(self, year: int, month: int, day: int) -> int:
        return int(datetime.datetime(year, month, day, tzinfo=self.zone).timestamp())


def parse(text: str, zone: datetime.tzinfo = datetime.UTC) -> Schedule:
    """Read a schedule. Raises ValueError, whose text upstream puts into the refusal of a CronJob."""
    if not text:
        raise ValueError("empty spec string")
    if match := re.match(r"(?:CRON_TZ|TZ)=(\S+)\s+", text):
        zone, text = time_zone(match[1]), text[match.end() :]
    if text.startswith("@every "):
        return Every(max(1, int(_duration(text))))
    if text.startswith("@") and text not in NAMES:
        raise ValueError(f"unrecognized descriptor: {text}")
    parts = NAMES.get(text, text).split()
    if len(parts) != len(FIELDS):
        raise ValueError(f"expected exactly {len(FIELDS)} fields, found {len(parts)}: [{' '.join(parts)}]")
    read = [_field(part, *field) for part, field in zip(parts, FIELDS, strict=True)]
    sets = [found for found, _ in read]
    return Calendar(sets[0], sets[1], sets[2], sets[3], sets[4], read[2][1] or read[4][1], zone)


def problem(text: str) -> str:
    """Say what is wrong with a schedule, or "".

    >>> problem("*/5 1-3 * jan,3 mon"), problem("* *")
    ('', 'expected exactly 5 fields, found 2: [* *]')
    """
    try:
        parse(text)
    except ValueError as err:
        return str(err)
    return ""


def time_zone(name: str) -> datetime.tzinfo:
    """Find a time zone by its IANA name. Raises ValueError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError) as err:
        raise ValueError(f"unknown time zone {name}") from err


def _field(text: str, low: int, high: int, names: tuple[str, ...]) -> tuple[frozenset[int], bool]:
    """Read one field: its values, and whether it is "*" in effect."""
    found: set[int] = set()
    is_star = False
    for part in text.split(","):
        values, is_any = _range(part, low, high, names)
        found.update(values)
        is_star = is_star or is_any
    return frozenset(found), is_star


def _range(part: str, low: int, high: int, names: tuple[str, ...]) -> tuple[range, bool]:
    span, *steps = part.split("/")
    start, *ends = span.split("-")
    is_star = start in ("*", "?")
    if is_star:
        first, last = low, high
    else:
        first = _number(start, names, low)
        if len(ends) > 1:
            raise ValueError(f"too many hyphens: {part}")
        last = _number(ends[0], names, low) if ends else first
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {part}")
    step = _number(steps[0], (), 0) if steps else 1
    if steps and not ends:
        last = high
    if first < low:
        raise ValueError(f"beginning of range ({first}) below minimum ({low}): {part}")
    if last > high:
        raise ValueError(f"end of range ({last}) above maximum ({high}): {part}")
    if first > last:
        raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {part}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {part}")
    return range(first, last + 1, step), is_star and step == 1


def _number(text: str, names: tuple[str, ...], low: int) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + low
    if re.fullmatch(r"[+-]?\d+", text, re.ASCII) is None:
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    number = int(text)
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number


def _duration(descriptor: str) -> float:
    text = descriptor.removeprefix("@every ")
    parts = re.findall(DURATION, text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'failed to parse duration {descriptor}: time: invalid duration "{text}"')
    return sum(float(number) * UNITS[unit] for number, unit in parts)
