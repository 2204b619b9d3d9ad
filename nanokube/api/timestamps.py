"""RFC 3339 timestamps as Kubernetes writes them (UTC, whole or micro seconds). Pure: the clock is passed in.

>>> format_time(0.9), format_micro(1.5)
('1970-01-01T00:00:00Z', '1970-01-01T00:00:01.500000Z')
>>> parse("1970-01-01T01:00:01+01:00")
1.0
>>> format_micro(parse("0001-01-01T00:00:02Z"))
'0001-01-01T00:00:02.000000Z'
>>> human(90), human(7200), human(200000)
('90s', '120m', '2d7h')
"""

from __future__ import annotations

import calendar
import functools
import math
import re
import time
from typing import Final

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))"
)
_ELEMENTS: Final = (  # of Go's layout, and what stands for each
    ("2006", r"\d{4}"), ("-", "-"), ("01", r"\d\d"), ("-", "-"), ("02", r"\d\d"), ("T", "[Tt]"),
    ("15", r"\d\d"), (":", ":"), ("04", r"\d\d"), (":", ":"), ("05", r"\d\d(\.\d+)?"),
    ("Z07:00", r"[Zz]|[+-]\d\d:\d\d"),
)  # fmt: skip
_END_S: Final = 253_402_300_800  # of the year 9999, in seconds since the epoch


def format_time(seconds: float) -> str:
    """Print seconds since the epoch as `Time`."""
    return _format_second(math.floor(seconds))


@functools.lru_cache(maxsize=64)
def _format_second(seconds: int) -> str:
    found = time.gmtime(seconds)
    # not strftime's %Y, which writes a year before 1000 with fewer digits (glibc)
    return f"{found.tm_year:04d}{time.strftime('-%m-%dT%H:%M:%SZ', found)}"


def format_micro(seconds: float) -> str:
    """Print seconds since the epoch as `MicroTime`."""
    micros = round(seconds * 1_000_000)
    return f"{format_time(micros // 1_000_000)[:-1]}.{micros % 1_000_000:06d}Z"


def parse(text: str) -> float:
    """Parse an RFC 3339 time into seconds since the epoch. Raises ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"cannot parse time {text!r}: not RFC 3339")
    year, month, day, hour, minute, second = (int(g) for g in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= calendar.monthrange(year or 1, month)[1]):
        raise ValueError(f"cannot parse time {text!r}: day out of range")
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"cannot parse time {text!r}: hour, minute or second out of range")
    seconds = float(calendar.timegm((year, month, day, hour, minute, second)))
    if match[7]:
        seconds += float(match[7])
    if match[8]:
        offset = int(match[9]) * 3600 + int(match[10]) * 60
        seconds += -offset if match[8] == "+" else offset
        if seconds >= _END_S:
            raise ValueError(f"cannot parse time {text!r}: after the year 9999 in UTC")
    return seconds


def fault(text: str, *, is_micro: bool = False) -> str:
    """Say, in the words of Go's package time, why parse refuses a text."""
    layout = f"2006-01-02T15:04:05{'.000000' * is_micro}Z07:00"
    began, at = f'parsing time "{text}"', 0
    for element, pattern in _ELEMENTS:
        found = re.compile(pattern).match(text, at)
        if found is None:
            return f'{began} as "{layout}": cannot parse "{text[at:]}" as "{element}"'
        at = found.end()
    if at < len(text):
        return f'{began}: extra text: "{text[at:]}"'
    month, hour, minute, second = (int(text[i : i + 2]) for i in (5, 11, 14, 17))
    parts = (("month", 0 < month < 13), ("hour", hour < 24), ("minute", minute < 60), ("second", second < 60))
    return f"{began}: {next((name for name, is_right in parts if not is_right), 'day')} out of range"


def human(seconds: float) -> str:
    """Print a duration as kubectl's AGE: "5s", "3m12s", "4h5m", "2d", "3y20d".

    Source: staging/src/k8s.io/apimachinery/pkg/util/duration/duration.go.
    """
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _pair(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _pair(days, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{days}d"
    years = days // 365
    return _pair(years, "y", days % 365, "d") if hours < 24 * 365 * 8 else f"{years}y"


def _pair(major: int, major_unit: str, minor: int, minor_unit: str) -> str:
    return f"{major}{major_unit}{minor}{minor_unit}" if minor else f"{major}{major_unit}"


def age(timestamp: str, now: float) -> str:
    """Print the age of a timestamp; "<unknown>" if absent or malformed."""
    if not timestamp:
        return "<unknown>"
    try:
        return human(now - parse(timestamp))
    except ValueError:
        return "<unknown>"
