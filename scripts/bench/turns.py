"""What servers showed on a row of the benchmark in turns, as ratios and as a line of a table. Pure.

The host drifts: what is measured a minute later differs by a half. So both servers have short turns on a row,
one after the other, and each round gives a ratio of its own. Told are the median of the ratios, in which one
disturbed round does not show, and their range, in which it does.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# The ratio of rates that this project has set itself, by the start of a row's name; of paced rows none: the
# load sets their rate.
PROMISED = {
    "GET": 5.0,
    "LIST": 7.0,
    "CREATE": 4.0,
    "PATCH": 6.0,
    "WATCH 100, flat": 3.0,
    "WATCH 1000, flat": 1.5,
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a server on a row.

    rate: answers (or events) a second. cpu_s: CPU time of the server for all of them, in seconds.
    latencies: of each, in seconds. lost: events that no watcher heard of.
    """

    rate: float
    cpu_s: float
    latencies: Sequence[float]
    errors: int = 0
    lost: int = 0

    @property
    def cost_s(self) -> float:
        """CPU time for one answer (or event) in seconds."""
        return self.cpu_s / max(1, len(self.latencies))


def orders(servers: Sequence[T], rounds: int) -> Iterator[Sequence[T]]:
    """Give the servers in turn, every other round backwards (ABBA): a steady drift favours nobody."""
    for number in range(rounds):
        yield servers[::-1] if number % 2 else servers


def table(rows: Mapping[str, Sequence[Sequence[Turn]]], names: Sequence[str]) -> list[str]:
    """Make the lines of a table in Markdown.

    rows: by name, each server's turns, in the order of names. Ratios are of the first server to the second.
    """
    titles = ["", *names, *(["rate", "CPU", "promised"] if len(names) > 1 else [])]
    lines = [[name, *_line(name, turns)] for name, turns in rows.items()]
    return markdown([titles, *lines])


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """Make a table of cells, its columns as wide as what is in them; the first row has the titles."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    aligned = [
        [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        for row in rows
    ]
    return [f"| {' | '.join(each)} |" for each in (aligned[0], rule, *aligned[1:])]


def cell(turns: Sequence[Turn]) -> str:
    """Tell the median rate, p50/p99 of all latencies in ms, the median of CPU ms for each, and failures."""
    latencies = sorted(each for turn in turns for each in turn.latencies)
    rate = statistics.median(turn.rate for turn in turns)
    cost = statistics.median(turn.cost_s for turn in turns)
    p50, p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    found = f"{rate:,.{0 if rate >= 100 else 1}f}; {p50:.2f}/{p99:.1f}; {cost * 1e3:.3f}"
    failures = {"errors": sum(turn.errors for turn in turns), "lost": sum(turn.lost for turn in turns)}
    return found + "".join(f"; {count} {what}" for what, count in failures.items() if count)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Find the latency in ms below which `share` of the answers stayed; ordered: in seconds."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3 if ordered else 0.0


def ratio(ratios: Sequence[float]) -> str:
    """Tell the median of the rounds' ratios, and from which to which they are."""
    middle = f"{statistics.median(ratios):.1f}"
    return f"{middle} ({min(ratios):.1f} to {max(ratios):.1f})" if len(ratios) > 1 else middle


def verdict(name: str, ratios: Sequence[float]) -> str:
    """Tell whether the median reaches what is promised of a row, and in how many of the rounds."""
    promised = next((least for start, least in PROMISED.items() if name.startswith(start)), 0.0)
    if not promised:
        return ""
    found = f"{promised:g} {'met' if statistics.median(ratios) >= promised else 'missed'}"
    count = sum(each >= promised for each in ratios)
    return f"{found} ({count} of {len(ratios)})" if len(ratios) > 1 else found


def _line(name: str, servers: Sequence[Sequence[Turn]]) -> list[str]:
    cells = [cell(turns) for turns in servers]
    if len(servers) < 2:
        return cells
    rounds = list(zip(*servers, strict=True))
    rates = [ours.rate / theirs.rate for ours, theirs in rounds]
    costs = [theirs.cost_s / max(ours.cost_s, 1e-9) for ours, theirs in rounds]
    return [*cells, ratio(rates), ratio(costs), verdict(name, rates)]
