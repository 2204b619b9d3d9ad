"""Metrics of the API server under upstream's names.

Source: staging apiserver pkg/endpoints/metrics/metrics.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from nanokube.api import resources
from nanokube.apiserver.requestinfo import RequestInfo

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Find = Callable[[str, str, str], resources.Resource | None]


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


class Metrics:
    """One set a server. counts: objects by resource. find: what a path names, if it is served."""

    def __init__(self, counts: Callable[[], dict[str, int]], find: Find = resources.find) -> None:
        self._find_resource = find
        self.registry = CollectorRegistry()
        self.registry.register(_Objects(counts))
        ProcessCollector(registry=self.registry)
        labels = ("verb", "group", "version", "resource", "subresource")
        self._total = Counter(
            "apiserver_request",
            "Requests by verb, resource and code.",
            (*labels, "code"),
            registry=self.registry,
        )
        self._duration = Histogram(
            "apiserver_request_duration_seconds",
            "Seconds from request to answer.",
            labels,
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._series: dict[tuple[str, ...], tuple[Counter, Histogram | None]] = {}

    def observe(self, info: RequestInfo, code: int, seconds: float) -> None:
        """Count one answered request."""
        asked = (info.verb, info.group, info.version, info.resource, info.subresource, str(code))
        found = self._series.get(asked) or self._find(info, asked)
        found[0].inc()
        if found[1] is not None:
            found[1].observe(seconds)

    def _find(self, info: RequestInfo, asked: tuple[str, ...]) -> tuple[Counter, Histogram | None]:
        """Choose the series of a request; what is known of the API is remembered."""
        verb = info.verb.upper()
        key = (verb, info.group, info.version, info.resource, info.subresource)
        resource = self._find_resource(info.group, info.version, info.resource)
        if resource is None or (info.subresource and resource.subresource(info.subresource) is None):
            key = (verb, "", "", "", "")  # what strangers make up must not become a series
        found = self._total.labels(*key, asked[-1]), None if verb == "WATCH" else self._duration.labels(*key)
        if key[3]:
            self._series[asked] = found
        return found

    def render(self) -> bytes:
        """Encode everything as text."""
        return generate_latest(self.registry)
