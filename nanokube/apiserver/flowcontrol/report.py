"""What of flow control is shown: metrics under upstream's names, and the debug pages.

Source: apiserver/pkg/util/flowcontrol/metrics/metrics.go, apf_controller_debug.go.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from nanokube.api import timestamps
from nanokube.apiserver.flowcontrol.gate import Gate
from nanokube.apiserver.flowcontrol.level import BUCKETS, Flow, Histogram, Level
from nanokube.apiserver.tallies import shown

PREFIX: Final = "/debug/api_priority_and_fairness/"
_NAME: Final = "apiserver_flowcontrol_"
_BOTH: Final = ("priority_level", "flow_schema")
_LEVEL_GAUGES: Final[Sequence[tuple[str, str, Callable[[Level], float]]]] = (
    ("nominal_limit_seats", "Nominal number of seats.", lambda level: level.limits.nominal),
    ("lower_limit_seats", "Seats that are never lent.", lambda level: level.limits.least),
    ("upper_limit_seats", "Seats with all that may be borrowed.", lambda level: level.limits.most),
    ("current_limit_seats", "Seats that the level has now.", lambda level: _limit(level)),
    ("request_concurrency_limit", "Nominal number of seats.", lambda level: level.limits.nominal),
    ("demand_seats_high_watermark", "Most seats wanted in the last period.", lambda level: level.demand.high),
    ("demand_seats_average", "Average of seats wanted.", lambda level: level.demand.average),
    ("demand_seats_stdev", "Deviation of seats wanted.", lambda level: level.demand.deviation),
    ("demand_seats_smoothed", "Smoothed seats wanted.", lambda level: level.demand.smoothed),
)
_FLOW_GAUGES: Final[Sequence[tuple[str, str, Callable[[Flow], float]]]] = (
    ("current_inqueue_requests", "Requests that wait.", lambda flow: flow.waiting),
    ("current_inqueue_seats", "Seats that are waited for.", lambda flow: flow.waiting_seats),
    ("current_executing_requests", "Requests that run and wait for something.", lambda flow: flow.running),
    ("current_executing_seats", "Seats they hold.", lambda flow: flow.running_seats),
    ("request_concurrency_in_use", "Seats they hold.", lambda flow: flow.running_seats),
)


class FlowMetrics(Collector):
    """Reads the gate when asked."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterable[Metric]:
        """Yield everything."""
        for name, text, read in _LEVEL_GAUGES:
            gauge = GaugeMetricFamily(_NAME + name, text, labels=("priority_level",))
            for level in self._gate.levels.values():
                gauge.add_metric((level.name,), read(level))
            yield gauge
        for name, text, of_flow in _FLOW_GAUGES:
            gauge = GaugeMetricFamily(_NAME + name, text, labels=_BOTH)
            for flow in self._gate.flows.values():
                gauge.add_metric(_labels(flow), of_flow(flow))
            yield gauge
        yield from self._counters()

    def _counters(self) -> Iterator[Metric]:
        dispatched = CounterMetricFamily(_NAME + "dispatched_requests", "Requests let in.", labels=_BOTH)
        rejected = CounterMetricFamily(
            _NAME + "rejected_requests", "Requests refused.", labels=(*_BOTH, "reason")
        )
        waits = HistogramMetricFamily(
            _NAME + "request_wait_duration_seconds", "Seconds in a queue.", labels=_BOTH
        )
        about = "Seconds of requests that held seats."
        runs = HistogramMetricFamily(_NAME + "request_execution_seconds", about, labels=(*_BOTH, "type"))
        for flow in self._gate.flows.values():
            dispatched.add_metric(_labels(flow), flow.dispatched)
            for reason, count in flow.rejected.items():
                rejected.add_metric((*_labels(flow), reason), count)
            waits.add_metric(_labels(flow), _buckets(flow.waits), flow.waits.total)
            runs.add_metric((*_labels(flow), "regular"), _buckets(flow.runs), flow.runs.total)
        yield from (dispatched, rejected, waits, runs)


def _labels(flow: Flow) -> tuple[str, str]:
    return flow.level.name, flow.schema.name


def _limit(level: Level) -> float:
    return 0 if level.is_exempt else level.queues.limit


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(shown, BUCKETS), "+Inf"]
    return list(zip(bounds, itertools.accumulate(histogram.counts), strict=True))


def page(gate: Gate, path: str) -> str | None:
    """Write a debug page as text, or None if there is none."""
    match path.removeprefix(PREFIX):
        case "dump_priority_levels":
            return _table(_LEVEL_COLUMNS, (_level_row(level) for level in _levels(gate)))
        case "dump_queues":
            return _table(_QUEUE_COLUMNS, (row for level in _levels(gate) for row in _queue_rows(level)))
        case "dump_requests":
            return _table(_REQUEST_COLUMNS, _request_rows(gate))
    return None


_LEVEL_COLUMNS: Final = (
    "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
    "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests",
)  # fmt: skip
_QUEUE_COLUMNS: Final = (
    "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
    "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum",
)  # fmt: skip
_REQUEST_COLUMNS: Final = (
    "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher",
    "ArriveTime", "InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime",
)  # fmt: skip


def _levels(gate: Gate) -> list[Level]:
    return [gate.levels[name] for name in sorted(gate.levels)]


def _level_row(level: Level) -> Sequence[object]:
    queues, flows = level.queues, level.flows
    return (
        level.name,
        queues.active_queues,
        str(not (queues.running or queues.waiting)).lower(),
        "false",
        queues.waiting,
        queues.running,
        sum(flow.dispatched for flow in flows),
        sum(sum(flow.rejected.values()) for flow in flows),
        level.timed_out,
        level.cancelled,
    )


def _queue_rows(level: Level) -> Iterator[Sequence[object]]:
    for index, queue in enumerate(level.queues.queues):
        widths = [ticket.width for ticket in queue.waiting]
        yield (
            level.name,
            index,
            len(widths),
            queue.running,
            queue.seats,
            f"{queue.next_r:.8f}ss",
            sum(width.initial for width in widths),
            sum(width.most for width in widths),
            f"{queue.load:.8f}ss",
        )


def _request_rows(gate: Gate) -> Iterator[Sequence[object]]:
    epoch = gate.clock.time() - gate.clock.monotonic()
    for level in _levels(gate):
        for index, position, ticket in level.queues.tickets():
            schema, _, flow = ticket.flow.partition("/")
            yield (
                level.name,
                schema,
                index,
                position,
                flow,
                timestamps.format_micro(epoch + ticket.arrived),
                ticket.width.initial,
                ticket.width.final,
                f"{ticket.width.extra_s}s",
                "0001-01-01T00:00:00Z",
            )


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    return "".join(", ".join(map(str, row)) + "\n" for row in (columns, *rows))
