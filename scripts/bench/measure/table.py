"""The figures as a table in Markdown. Pure."""

import dataclasses
import statistics
from collections.abc import Sequence

from scripts.bench.measure import many, pull, steps
from scripts.bench.measure.target import Target


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One line: its unit, and the ratio to containerd + runc that nanokube promises, 0 for none."""

    name: str
    unit: str
    promised: float = 0
    has_p99: bool = False


FIGURES = (
    Figure("RunPodSandbox", "ms", has_p99=True),
    Figure("CreateContainer", "ms", has_p99=True),
    Figure("StartContainer", "ms", has_p99=True),
    Figure(steps.FIRST, "ms", 0.12, has_p99=True),
    Figure(steps.SECOND, "ms", 0.15, has_p99=True),
    Figure("ExecSync", "ms", 0.12, has_p99=True),
    Figure("StopPodSandbox", "ms", has_p99=True),
    Figure("RemovePodSandbox", "ms", has_p99=True),
    Figure(steps.ENDING, "ms", 0.10, has_p99=True),
    Figure(steps.CPU, "ms", 0.15, has_p99=True),
    Figure(many.BURST, "s", 0.2),
    Figure(many.BURST_ERRORS, ""),
    Figure(many.AVAILABLE, "MB", 0.15),
    Figure(many.PSS, "MB", 0.15),
    Figure(many.CHARGED, "MB", 0.15),
    Figure(pull.PULL, "s", 0.6),
    Figure(pull.PULL_CPU, "s"),
)


def lines(targets: Sequence[Target]) -> list[str]:
    """Return the table: medians, p95 and p99, ratios at the median, and what was promised."""
    own, *peers = targets
    titles = ["", *(target.name for target in targets), *(f"to {peer.name[11:]}" for peer in peers)]
    has_crun = any(peer.name.endswith("crun") for peer in peers)
    titles += ["promised"] * bool(peers) + ["p99 below crun's median"] * has_crun
    rows = [
        _row(figure, own, peers) for figure in FIGURES if all(t.samples.get(figure.name) for t in targets)
    ]
    rule = ["---"] + ["--:"] * (len(titles) - 1)
    return [f"| {' | '.join(row)} |" for row in (titles, rule, *rows)]


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the smallest sample that at least this share of all does not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


def _row(figure: Figure, own: Target, peers: Sequence[Target]) -> list[str]:
    samples = own.samples[figure.name]
    row = [f"{figure.name}, {figure.unit}" if figure.unit else figure.name]
    row += [_cell(target.samples.get(figure.name, []), figure) for target in (own, *peers)]
    middle = statistics.median(samples)
    medians = [statistics.median(peer.samples[figure.name]) for peer in peers]
    ratios = [middle / other if other else 0 for other in medians]
    row += [f"{ratio:.3f}" if figure.unit else "" for ratio in ratios]
    if peers:
        row.append(_verdict(figure.promised, ratios[0]))
    for peer, other in zip(peers, medians, strict=True):
        if peer.name.endswith("crun"):
            row.append(("yes" if quantile(samples, 0.99) < other else "no") if figure.has_p99 else "")
    return row


def _verdict(promised: float, ratio: float) -> str:
    return f"{promised:.2f} {'met' if ratio <= promised else 'missed'}" if promised else ""


def _cell(samples: Sequence[float], figure: Figure) -> str:
    """Median / p95 / p99; median and range where there are few; the sum of what is counted."""
    if not samples:
        return ""
    if not figure.unit:
        return f"{sum(samples):.0f}"
    digits = 2 if figure.unit == "s" else 1
    middle = statistics.median(samples)
    if figure.has_p99:
        values = [middle, quantile(samples, 0.95), quantile(samples, 0.99)]
        return " / ".join(f"{value:.{digits}f}" for value in values)
    return f"{middle:.{digits}f} ({min(samples):.{digits}f} to {max(samples):.{digits}f})"
