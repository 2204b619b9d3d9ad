"""One priority level at run time, and the flows (schemas) that lead to it: seats, demand, counts."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.apiserver.flowcontrol import limits
from nanokube.apiserver.flowcontrol.classify import Schema
from nanokube.apiserver.flowcontrol.limits import Demand, Limits
from nanokube.apiserver.flowcontrol.queueset import QueueSet, Queuing
from nanokube.apiserver.flowcontrol.refusals import Refusals

# upper bounds of histograms, in seconds: pkg/util/flowcontrol/metrics/metrics.go
BUCKETS: Final = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)
# an exempt level has no limit
_UNLIMITED: Final = 1 << 40


@dataclass(slots=True)
class Histogram:
    """Counts by bucket, and their sum; cheaper than a client library's where each request pays."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Level:
    """A PriorityLevelConfiguration.

    Its queues are made anew when their number changes; the old ones run dry.
    """

    def __init__(self, obj: Object, own: Limits) -> None:
        self.name = objects.name(obj)
        self.queuing: Queuing | None = None
        self.queues = QueueSet(0, None)
        self.demand = Demand()
        self.refusals = Refusals()
        self.flows: list[Flow] = []
        self.timed_out = self.cancelled = 0
        self.configure(obj, own)
        self.queues.limit = _UNLIMITED if self.is_exempt else own.nominal

    def configure(self, obj: Object, own: Limits) -> None:
        """Take over a new state of the object."""
        spec = objects.spec(obj)
        self.uid = objects.uid(obj)
        self.is_exempt = spec.get("type") == "Exempt"
        self.limits = own
        wanted = _queuing(spec)
        self.widest = limits.widest(own.nominal, wanted.hand if wanted else 1)
        if wanted != self.queuing:
            self.queuing, self.queues = wanted, QueueSet(self.queues.limit, wanted)

    @property
    def is_free(self) -> bool:
        """Whether any request may start without a look at how wide it is."""
        queues = self.queues
        return not queues.waiting and queues.seats + self.widest <= queues.limit


def _queuing(spec: Object) -> Queuing | None:
    response = (spec.get("limited") or {}).get("limitResponse") or {}
    given: dict[str, Any] | None = response.get("queuing")
    if response.get("type") != "Queue" or given is None:
        return None
    return Queuing(given.get("queues", 64), given.get("handSize", 8), given.get("queueLengthLimit", 50))


class Flow:
    """A schema and the level it leads to. head: the fields of a response that name them, encoded."""

    def __init__(self, schema: Schema, level: Level) -> None:
        self.point(schema, level)
        self.dispatched = 0
        self.rejected: dict[str, int] = {}
        self.running = self.running_seats = self.waiting = self.waiting_seats = 0
        self.waits = Histogram()
        self.runs = Histogram()

    def point(self, schema: Schema, level: Level) -> None:
        """Take over a new state of the schema and its level."""
        self.schema = schema
        self.level = level
        self.head = (
            f"X-Kubernetes-Pf-Flowschema-Uid: {schema.uid}\r\n"
            f"X-Kubernetes-Pf-Prioritylevel-Uid: {level.uid}\r\n"
        ).encode("latin-1")
