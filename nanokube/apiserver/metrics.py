"""Metrics of the API server under upstream's names.

Source: staging apiserver pkg/endpoints/metrics/metrics.go.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from nanokube.api import resources
from nanokube.apiserver.requestinfo import RequestInfo

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# upstream's: alerts and dashboards name some of these bounds
_BUCKETS: Final = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0),
    *(10.0, 15.0, 20.0, 30.0, 45.0, 60.0),
)
_DURATION: Final = "apiserver_request_duration_seconds"
_INDICATOR: Final = "apiserver_request_sli_duration_seconds"
_METHODS: Final[Mapping[str, str]] = {"create": "POST", "update": "PUT"}
_READS: Final = frozenset(("get", "list", "watch"))
_COMPONENT: Final = "apiserver"

Find = Callable[[str, str, str], resources.Resource | None]


def kind_of(info: RequestInfo) -> str:
    """Tell whether a request is about to write, or reads."""
    return "readOnly" if info.verb in _READS else "mutating"


def scope_of(info: RequestInfo) -> str:
    """Tell what a request is about: one object, a namespace, or more.

    Source: staging apiserver pkg/endpoints/metrics/metrics.go (CleanScope).
    """
    if info.name or info.verb == "create":
        return "resource"
    if info.namespace:
        return "namespace"
    return "cluster" if info.is_resource else ""


class _Objects(Collector):
    """Counts of stored objects, read when asked."""

    def __init__(self, counts: Callable[[], dict[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "apiserver_storage_objects", "Number of stored objects by resource.", labels=["resource"]
        )
        for name, count in self._counts().items():
            family.add_metric([name], count)
        yield family


class _Indicators(Collector):
    """The durations again, under the name that service level objectives ask for.

    Upstream leaves out what a request waited for: webhooks, and its turn.
    """

    def __init__(self, durations: Histogram) -> None:
        self._durations = durations

    def collect(self) -> Iterable[Metric]:
        for family in self._durations.collect():
            found = HistogramMetricFamily(_INDICATOR, "Seconds from request to answer.")
            for sample in family.samples:
                labels = {key: value for key, value in sample.labels.items() if key != "dry_run"}
                name = sample.name.replace(_DURATION, _INDICATOR)
                if not name.endswith("_created"):
                    found.add_sample(name, labels, sample.value)
            yield found


class Metrics:
    """One set a server. counts: objects by resource. find: what a path names, if it is served."""

    def __init__(self, counts: Callable[[], dict[str, int]], find: Find = resources.find) -> None:
        self._find_resource = find
        self.registry = CollectorRegistry()
        self.registry.register(_Objects(counts))
        ProcessCollector(registry=self.registry)
        labels = ("verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component")
        self._total = Counter(
            "apiserver_request",
            "Requests by verb, resource and code.",
            (*labels, "system_client", "code"),
            registry=self.registry,
        )
        self._duration = Histogram(
            _DURATION,
            "Seconds from request to answer.",
            labels,
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_Indicators(self._duration))
        self.in_flight = dict.fromkeys(("mutating", "readOnly"), 0)
        current = Gauge(
            "apiserver_current_inflight_requests",
            "Requests that are being answered.",
            ("request_kind",),
            registry=self.registry,
        )
        for kind in self.in_flight:
            current.labels(kind).set_function(functools.partial(self.in_flight.__getitem__, kind))
        self._series: dict[tuple[str, ...], tuple[Counter, Histogram | None]] = {}

    def observe(self, info: RequestInfo, code: int, seconds: float) -> None:
        """Count one answered request."""
        scope = scope_of(info)
        asked = (info.verb, info.group, info.version, info.resource, info.subresource, scope, str(code))
        found = self._series.get(asked) or self._find(info, asked)
        found[0].inc()
        if found[1] is not None:
            found[1].observe(seconds)

    def _find(self, info: RequestInfo, asked: tuple[str, ...]) -> tuple[Counter, Histogram | None]:
        """Choose the series of a request; what is known of the API is remembered."""
        verb = _METHODS.get(info.verb) or info.verb.upper()
        key = (verb, "", info.group, info.version, info.resource, info.subresource, asked[-2], _COMPONENT)
        resource = self._find_resource(info.group, info.version, info.resource)
        if resource is None or (info.subresource and resource.subresource(info.subresource) is None):
            key = (
                verb,
                "",
                "",
                "",
                "",
                "",
                "",
                _COMPONENT,
            )  # what strangers make up must not become a series
        found = (
            self._total.labels(*key, "", asked[-1]),
            None if verb == "WATCH" else self._duration.labels(*key),
        )
        if key[4]:
            self._series[asked] = found
        return found

    def render(self) -> bytes:
        """Encode everything as text."""
        return generate_latest(self.registry)
