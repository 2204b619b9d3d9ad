"""Which reports become one Event, and which are dropped. Pure: time comes with each report.

Source: client-go tools/record/events_cache.go (its constants, too).
"""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Any

AGGREGATE_AFTER = 10  # distinct messages of one kind of event before they are written as one
AGGREGATE_WINDOW_S = 600.0
SPAM_BURST = 25
SPAM_REFILL_S = 300.0  # one more event every five minutes about one object
CACHE_SIZE = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class Happening:
    """One report: about is an ObjectReference, at_s is seconds since the epoch."""

    about: Mapping[str, Any]
    type: str
    reason: str
    message: str
    at_s: float


@dataclasses.dataclass(slots=True)
class Series:
    """Like events seen so far; name is the Event's once it is written."""

    about: Mapping[str, Any]
    type: str
    reason: str
    message: str
    first_s: float
    last_s: float
    count: int = 0
    name: str = ""


@dataclasses.dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


@dataclasses.dataclass(slots=True)
class _Similar:
    messages: set[str]
    last_s: float


class Correlator:
    """Counts like events, gathers similar ones, and refuses floods about one object."""

    def __init__(self) -> None:
        self._series: collections.OrderedDict[tuple[str, ...], Series] = collections.OrderedDict()
        self._buckets: collections.OrderedDict[tuple[str, ...], _Bucket] = collections.OrderedDict()
        self._similar: collections.OrderedDict[tuple[str, ...], _Similar] = collections.OrderedDict()

    def take(self, happening: Happening) -> Series | None:
        """Give the series to write, its count raised; None when it is one too many about its object."""
        if not self._allows(happening):
            return None
        message, key = self._aggregate(happening)
        series = self._series.pop(key, None)
        if series is None:
            series = Series(
                happening.about, happening.type, happening.reason, message, happening.at_s, happening.at_s
            )
        series.count += 1
        series.last_s = happening.at_s
        series.message = message
        _keep(self._series, key, series)
        return series

    def _allows(self, happening: Happening) -> bool:
        key = _object_key(happening)
        bucket = self._buckets.pop(key, None) or _Bucket(SPAM_BURST, happening.at_s)
        earned = (happening.at_s - bucket.at_s) / SPAM_REFILL_S
        bucket.tokens = min(SPAM_BURST, bucket.tokens + max(0.0, earned))
        bucket.at_s = happening.at_s
        _keep(self._buckets, key, bucket)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _aggregate(self, happening: Happening) -> tuple[str, tuple[str, ...]]:
        key = (*_object_key(happening), happening.type, happening.reason)
        similar = self._similar.pop(key, None)
        if similar is None or happening.at_s - similar.last_s > AGGREGATE_WINDOW_S:
            similar = _Similar(set(), happening.at_s)
        similar.last_s = happening.at_s
        similar.messages.add(happening.message)
        _keep(self._similar, key, similar)
        if len(similar.messages) < AGGREGATE_AFTER:
            return happening.message, (*key, happening.message)
        similar.messages = set(sorted(similar.messages)[:AGGREGATE_AFTER])
        return f"(combined from similar events): {happening.message}", key


def _object_key(happening: Happening) -> tuple[str, ...]:
    about = happening.about
    return tuple(
        str(about.get(field, "")) for field in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")
    )


def _keep(cache: collections.OrderedDict[Any, Any], key: object, value: object) -> None:
    cache[key] = value
    if len(cache) > CACHE_SIZE:
        cache.popitem(last=False)
