"""How long admission takes, by phase and by plugin, under upstream's names.

Of the plugins only those are measured that may wait: the others look into memory for a microsecond, and to
measure all of them would cost 1 % of a CREATE. A refusal is counted under the name of whichever plugin it is.
Source: staging apiserver pkg/admission/metrics/metrics.go.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from nanokube.apiserver.tallies import shown

ADMIT: Final = "admit"
VALIDATE: Final = "validate"
# Nanoseconds at most, of all buckets but the last, which has no bound.
_BOUNDS_NS: Final = (5_000_000, 25_000_000, 100_000_000, 500_000_000, 1_000_000_000, 2_500_000_000)

# Nanoseconds in all, then how many fell into each bucket.
Row = list[int]


def new_row() -> Row:
    """Make a row that nothing was counted in."""
    return [0] * (2 + len(_BOUNDS_NS))


def add(row: Row, spent_ns: int) -> None:
    """Count one duration."""
    row[0] += spent_ns
    row[1 + bisect_left(_BOUNDS_NS, spent_ns)] += 1


class Timing(Collector):
    """One a server. Rows are made for what occurs: operations are four, plugins known."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, str, str], Row] = {}
        self._plugins: dict[tuple[str, str, str, str], Row] = {}

    def step(self, phase: str, operation: str, *, is_rejected: bool = False) -> Row:
        """Give the row of a phase. phase: ADMIT or VALIDATE."""
        return self._steps.setdefault((phase, operation, _text(is_rejected)), new_row())

    def plugin(self, name: str, phase: str, operation: str, *, is_rejected: bool = False) -> Row:
        """Give the row of a plugin."""
        return self._plugins.setdefault((name, phase, operation, _text(is_rejected)), new_row())

    def collect(self) -> Iterable[Metric]:
        """Show all rows."""
        yield _family(
            "apiserver_admission_step_admission_duration_seconds",
            "Seconds that a phase of admission took.",
            ("type", "operation", "rejected"),
            self._steps.items(),
        )
        yield _family(
            "apiserver_admission_controller_admission_duration_seconds",
            "Seconds that an admission plugin took.",
            ("name", "type", "operation", "rejected"),
            self._plugins.items(),
        )


def _text(is_rejected: bool) -> str:
    return "true" if is_rejected else "false"


def _family(
    name: str, about: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], Row]]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, about, labels=labels)
    for key, row in sorted(rows):
        if not any(row[1:]):
            continue
        total, buckets = 0, []
        for bound, count in zip((*_BOUNDS_NS, None), row[1:], strict=True):
            total += count
            buckets.append((shown(bound / 1e9) if bound is not None else "+Inf", total))
        family.add_metric(key, buckets, row[0] / 1e9)
    return family
