"""How much of the server a request occupies: seats while it runs, and after it. Pure.

A LIST takes a seat per 100 objects it walks over; a write keeps seats for the time its watchers take to be
told. Source: apiserver/pkg/util/flowcontrol/request/{list,mutating}_work_estimator.go, config.go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MAX_SEATS: Final = 10
OBJECTS_PER_SEAT: Final = 100
WATCHES_PER_SEAT: Final = 10
EVENT_S: Final = 0.005  # for a seat's worth of watchers to be told
READS: Final = frozenset(("get", "list", "watch"))


@dataclass(frozen=True, slots=True)
class Width:
    """initial: seats while running. final: seats for `extra_s` seconds after it."""

    initial: int = 1
    final: int = 0
    extra_s: float = 0.0

    @property
    def most(self) -> int:
        """Seats at the widest."""
        return max(self.initial, self.final)

    def work(self, service_s: float) -> float:
        """Estimate seat-seconds, if it runs for service_s."""
        return self.initial * service_s + self.final * self.extra_s


ONE: Final = Width()


def of_list(
    count: int, limit: int, *, is_single: bool, is_filtered: bool, from_cache: bool, most: int
) -> Width:
    """Estimate a LIST, or the first events of a WATCH. count: stored objects; limit: 0 for no pages."""
    if is_single:
        return ONE
    page = min(limit or count, count)
    past = count + page if is_filtered else 2 * page
    walked = count if from_cache else past
    return Width(max(1, min(math.ceil(walked / OBJECTS_PER_SEAT), most, MAX_SEATS)))


def of_write(watchers: int, most: int) -> Width:
    """Estimate a write by how many watch the resource."""
    if watchers < WATCHES_PER_SEAT:
        return ONE
    wanted = math.ceil(watchers / WATCHES_PER_SEAT)
    final = min(wanted, most, MAX_SEATS)
    return Width(1, final, wanted * EVENT_S / final)
