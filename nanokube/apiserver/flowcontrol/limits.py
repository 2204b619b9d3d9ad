"""How many seats each priority level has: nominal shares, and what is borrowed as demand moves. Pure.

Source: apiserver/pkg/util/flowcontrol/{apf_controller,conc_alloc}.go, KEP-1040 (Priority levels).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nanokube.api.objects import Object

SERVER_SEATS: Final = 600  # max-requests-inflight 400 + max-mutating-requests-inflight 200
ADJUST_S: Final = 10.0
_SMOOTHING: Final = 0.977  # half-life 5 minutes, at a sample every ADJUST_S
_MIN_TARGET: Final = 0.001
# widest request, as a part of the level's seats
_WIDEST: Final = 0.15


@dataclass(frozen=True, slots=True)
class Limits:
    """nominal: by shares; least: what is left when all that is lendable is lent; most: with all borrowed."""

    nominal: int
    least: int
    most: int


def shares_of(spec: Object) -> int:
    """Return the shares of a level."""
    part = spec.get("limited") if spec.get("type") == "Limited" else spec.get("exempt")
    default = 30 if spec.get("type") == "Limited" else 0
    shares = (part or {}).get("nominalConcurrencyShares")
    return default if shares is None else int(shares)


def of_levels(specs: Mapping[str, Object], server: int = SERVER_SEATS) -> dict[str, Limits]:
    """Divide the server's seats by shares. specs: name -> spec of a PriorityLevelConfiguration."""
    total = sum(shares_of(spec) for spec in specs.values()) or 1
    nominal = {name: math.ceil(server * shares_of(spec) / total) for name, spec in specs.items()}
    everything = sum(nominal.values())
    found = {}
    for name, spec in specs.items():
        part = (spec.get("limited") if spec.get("type") == "Limited" else spec.get("exempt")) or {}
        lendable = _round(nominal[name] * (part.get("lendablePercent") or 0) / 100)
        percent = part.get("borrowingLimitPercent")
        most = everything if percent is None else nominal[name] + _round(nominal[name] * percent / 100)
        found[name] = Limits(nominal[name], nominal[name] - lendable, most)
    return found


def widest(nominal: int, hand: int) -> int:
    """Return the most seats that one request of a level may take."""
    return max(1, min(math.ceil(nominal * _WIDEST), nominal // max(hand, 1)))


@dataclass(slots=True)
class Demand:
    """How many seats were wanted: observed over time, summed up each period."""

    value: float = 0.0
    since: float = 0.0
    began: float = 0.0
    area: float = 0.0
    squares: float = 0.0
    highest: float = 0.0
    high: int = 0
    average: float = 0.0
    deviation: float = 0.0
    smoothed: float = 0.0

    def set(self, value: float, now: float) -> None:
        """Note that the demand is another from now on."""
        passed, self.since = now - self.since, now
        self.area += self.value * passed
        self.squares += self.value * self.value * passed
        self.value = value
        self.highest = max(self.highest, value)

    def close(self, now: float) -> None:
        """End a period: compute its high-water mark, average, deviation, and the smoothed envelope."""
        self.set(self.value, now)
        length = now - self.began
        self.high = _round(self.highest)
        if length > 0:
            self.average = self.area / length
            self.deviation = math.sqrt(max(0.0, self.squares / length - self.average**2))
            envelope = self.average + self.deviation
            self.smoothed = max(envelope, _SMOOTHING * self.smoothed + (1 - _SMOOTHING) * envelope)
        self.began, self.area, self.squares, self.highest = now, 0.0, 0.0, self.value


@dataclass(frozen=True, slots=True)
class Wanted:
    """One level's part in the division of seats."""

    limits: Limits
    is_exempt: bool
    high: int
    smoothed: float = field(default=0.0)

    @property
    def floor(self) -> int:
        """What it certainly gets: its own seats, as far as it wanted them lately."""
        if self.is_exempt:
            return max(self.limits.least, self.high)
        return max(self.limits.least, min(self.limits.nominal, self.high))


def adjust(levels: Mapping[str, Wanted]) -> dict[str, int]:
    """Divide all nominal seats anew by recent demand, within each level's limits."""
    remaining = sum(w.limits.nominal for w in levels.values())
    found = {name: w.floor for name, w in levels.items() if w.is_exempt}
    remaining -= sum(found.values())
    limited = {name: w for name, w in levels.items() if not w.is_exempt}
    least, floors = sum(w.limits.least for w in limited.values()), sum(w.floor for w in limited.values())
    if remaining <= least:
        return {**found, **{name: w.limits.least for name, w in limited.items()}}
    if remaining <= floors:
        part = (remaining - least) / (floors - least)
        for name, w in limited.items():
            found[name] = w.limits.least + _round((w.floor - w.limits.least) * part)
        return found
    bounds = [
        (float(w.floor), float(max(w.limits.most, w.floor)), max(float(w.floor), w.smoothed))
        for w in limited.values()
    ]
    given = allocate(float(remaining), bounds)
    return {**found, **{name: _round(seats) for name, seats in zip(limited, given, strict=True)}}


def allocate(total: float, items: Sequence[tuple[float, float, float]]) -> list[float]:
    """Divide `total` in proportion to targets, within bounds. items: (lower, upper, target).

    Finds the proportion p at which the sum of min(max(p * target, lower), upper) is total.
    """
    targets = [max(target, _MIN_TARGET) for _, _, target in items]

    def at(proportion: float) -> list[float]:
        pairs = zip(items, targets, strict=True)
        return [min(max(proportion * target, low), high) for (low, high, _), target in pairs]

    bends = sorted({b / t for (low, high, _), t in zip(items, targets, strict=True) for b in (low, high)})
    before = 0.0
    for bend in bends:
        if sum(at(bend)) >= total:
            low_sum, high_sum = sum(at(before)), sum(at(bend))
            if high_sum <= low_sum:
                return at(bend)
            return at(before + (bend - before) * (total - low_sum) / (high_sum - low_sum))
        before = bend
    return at(before)


def _round(number: float) -> int:
    """Round half away from zero, as Go does."""
    return math.floor(number + 0.5)
