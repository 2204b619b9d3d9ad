"""Metrics of the API server under upstream's names.

Source: staging apiserver pkg/endpoints/metrics/metrics.go.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from nanokube.api import resources
from nanokube.apiserver.requestinfo import CONNECTING, RequestInfo
from nanokube.apiserver.tallies import Tallies, Tally
from nanokube.kit.http.message import Answer, Response, StreamResponse, UpgradeResponse, size_of

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# upstream's: alerts and dashboards name some of these bounds
_BUCKETS: Final = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0),
    *(10.0, 15.0, 20.0, 30.0, 45.0, 60.0),
)
_SIZES: Final = tuple(10.0**power for power in range(3, 10))  # bytes
_INDICATOR: Final = "apiserver_request_sli_duration_seconds"
_KINDS: Final = ("group", "version", "resource", "subresource")
_LASTING: Final = ("verb", *_KINDS, "scope", "component")
_LABELS: Final = ("verb", "dry_run", *_KINDS, "scope", "component")
_METHODS: Final[Mapping[str, str]] = {
    "get": "GET",
    "head": "GET",
    "list": "LIST",
    "watch": "WATCH",
    "create": "POST",
    "post": "POST",
    "update": "PUT",
    "put": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
_MANY: Final = frozenset(("list", "deletecollection"))
_READS: Final = frozenset(("get", "list", "watch"))
_COMPONENT: Final = "apiserver"

_T = TypeVar("_T")
_Asked = tuple[str | int, ...]
Find = Callable[[str, str, str], resources.Resource | None]


def kind_of(info: RequestInfo) -> str:
    """Tell whether a request is about to write, or reads."""
    return "readOnly" if info.verb in _READS else "mutating"


def scope_of(info: RequestInfo) -> str:
    """Tell what a request is about: one object, a namespace, or more.

    Source: staging apiserver pkg/endpoints/installer.go: by the path, whatever is selected.
    """
    if (info.name and info.verb not in _MANY) or info.verb == "create":
        return "resource"
    return _place(info)


def _scope_asked(info: RequestInfo) -> str:
    """Tell the same of a request that lasts, of which upstream asks otherwise: a selected name counts.

    Source: staging apiserver pkg/endpoints/metrics/metrics.go (CleanScope).
    """
    return "resource" if info.name or info.verb == "create" else _place(info)


def _place(info: RequestInfo) -> str:
    if info.namespace:
        return "namespace"
    return "cluster" if info.is_resource else ""


class _Objects(Collector):
    """Counts of stored objects, read when asked."""

    def __init__(self, counts: Callable[[], dict[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        text = "Number of stored objects by resource."
        family = GaugeMetricFamily("apiserver_storage_objects", text, labels=["resource"])  # as before v1.34
        newer = GaugeMetricFamily("apiserver_resource_objects", text, labels=["group", "resource"])
        for name, count in self._counts().items():
            plural, _, group = name.partition(".")
            family.add_metric([name], count)
            newer.add_metric([group, plural], count)
        yield from (family, newer)


class _Indicators(Collector):
    """The durations again, under the name that service level objectives ask for; dry runs are not among them.

    Upstream leaves out what a request waited for: webhooks, and its turn.
    """

    def __init__(self, durations: Tallies) -> None:
        self._durations = durations

    def collect(self) -> Iterable[Metric]:
        rows = [((row[0], *row[2:]), tally) for row, tally in self._durations.rows.items() if not row[1]]
        yield self._durations.family(_INDICATOR, "Seconds from request to answer.", _LASTING, rows)


@dataclass(frozen=True, slots=True)
class _Series:
    """Where a request of one sort is counted."""

    total: Counter
    duration: Tally | None
    size: Tally | None  # of reads, as upstream


def verb_of(info: RequestInfo) -> str:
    """Name what a request does, as metrics do: by its method, but for what lasts and what is applied."""
    if info.subresource in CONNECTING:
        return "CONNECT"
    return "APPLY" if info.is_apply else _METHODS.get(info.verb, "other")


class Metrics:
    """One set a server, of one event loop. counts: objects by resource. find: what a path names, if served.

    size: asks for the bytes that the store takes; 0: unknown.
    """

    def __init__(
        self,
        counts: Callable[[], dict[str, int]],
        find: Find = resources.find,
        size: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        self._find_resource = find
        self._ask_size = size
        self.registry = CollectorRegistry()
        self.registry.register(_Objects(counts))
        ProcessCollector(registry=self.registry)
        self._total = Counter(
            "apiserver_request",
            "Requests by verb, resource and code.",
            (*_LABELS, "system_client", "code"),
            registry=self.registry,
        )
        about = "Seconds from request to answer."
        self._duration = Tallies("apiserver_request_duration_seconds", about, _LABELS, _BUCKETS)
        self._sizes = Tallies("apiserver_response_sizes", "Bytes of answers to reads.", _LASTING, _SIZES)
        for collector in (self._duration, _Indicators(self._duration), self._sizes):
            self.registry.register(collector)
        self._lasting = self._gauge("longrunning_requests", "Watches and connections that last.", *_LASTING)
        labels = (*_KINDS, "removed_release")
        self._deprecated = self._gauge("requested_deprecated_apis", "Deprecated kinds in use.", *labels)
        self._size = self._gauge("storage_size_bytes", "Bytes that the store takes.", "storage_cluster_id")
        self.in_flight = dict.fromkeys(("mutating", "readOnly"), 0)
        about = "Requests that are being answered."
        current = self._gauge("current_inflight_requests", about, "request_kind")
        for kind in self.in_flight:
            current.labels(kind).set_function(functools.partial(self.in_flight.__getitem__, kind))
        self._series: dict[_Asked, _Series] = {}

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"apiserver_{name}", about, labels, registry=self.registry)

    def observe(self, info: RequestInfo, answer: Answer, seconds: float) -> None:
        """Count one answered request."""
        code = 101 if isinstance(answer, UpgradeResponse) else answer.status
        asked = (
            info.verb,
            info.group,
            info.version,
            info.resource,
            info.subresource,
            not info.name,
            not info.namespace,
            code,
            info.dry_run,
            info.is_apply,
        )  # all that the labels are made of
        found = self._series.get(asked) or self._find(info, asked, str(code))
        found.total.inc()
        if found.duration is not None:
            found.duration.observe(seconds)
        if found.size is not None and isinstance(answer, Response):
            found.size.observe(size_of(answer.parts))

    def _find(self, info: RequestInfo, asked: _Asked, code: str) -> _Series:
        """Choose the series of a request; what is known of the API is remembered."""
        verb, dry_run = verb_of(info), info.dry_run
        about = self._about(info)
        key = (*(about or ("",) * 4), scope_of(info) if about else "", _COMPONENT)
        found = _Series(
            self._total.labels(verb, dry_run, *key, "", code),
            None if verb == "WATCH" else self._duration.of(verb, dry_run, *key),
            self._sizes.of(verb, *key) if about and info.verb in ("get", "list") else None,
        )
        if about:
            self._series[asked] = found
        return found

    def _about(self, info: RequestInfo) -> tuple[str, str, str, str] | None:
        """Name what a request is about, if that is served: what strangers make up must not be a series."""
        resource = self._find_resource(info.group, info.version, info.resource)
        if resource is None or (info.subresource and resource.subresource(info.subresource) is None):
            return None
        return info.group, info.version, info.resource, info.subresource

    def note_deprecated(self, info: RequestInfo) -> None:
        """Tell that somebody asks for what is deprecated. That a kind is to go is said of none in v1.36."""
        about = self._about(info)
        if about is not None:
            self._deprecated.labels(*about, "").set(1)

    @contextlib.contextmanager
    def lasting(self, info: RequestInfo) -> Iterator[None]:
        """Count a request among those that last, while the block runs."""
        about = self._about(info)
        if about is None:
            yield
            return
        gauge = self._lasting.labels(verb_of(info), *about, _scope_asked(info), _COMPONENT)
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def follow(self, info: RequestInfo, answer: Answer) -> None:
        """Have an answer counted among those that last, while it is written."""
        match answer:  # the same twice, of different types
            case UpgradeResponse():
                answer.run = self._followed(info, answer.run)
            case StreamResponse():
                answer.run = self._followed(info, answer.run)

    def _followed(
        self, info: RequestInfo, run: Callable[[_T], Awaitable[None]]
    ) -> Callable[[_T], Awaitable[None]]:
        async def followed(target: _T) -> None:
            with self.lasting(info):
                await run(target)

        return followed

    async def render(self) -> bytes:
        """Encode everything as text."""
        size = await self._ask_size() if self._ask_size is not None else 0
        if size:
            self._size.labels("etcd-0").set(size)  # as upstream names its first, though there is one only
        return generate_latest(self.registry)
