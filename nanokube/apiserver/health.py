"""Health: /healthz, /livez and /readyz, and what their answers were, as metrics (/metrics/slis).

Names are upstream's where one exists: "etcd" is the store, whatever it is, as probes ask for that. Of
upstream's poststarthooks those are named whose work this server does. It answers nobody before all of them
have started, and ends with the first that does: a server that answers has them.
Source: staging apiserver pkg/server/healthz/healthz.go, component-base metrics/prometheus/slis.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import generate_latest

from nanokube.api import errors
from nanokube.apiserver.endpoints import respond
from nanokube.kit.http.message import Request, Response

Checks = Mapping[str, Callable[[], bool]]
PATHS: Final = ("/healthz", "/livez", "/readyz")
_READY: Final = "readyz"

_HOOKS: Final = (
    "start-apiserver-admission-initializer",
    "generic-apiserver-start-informers",
    "priority-and-fairness-config-consumer",
    "priority-and-fairness-filter",
    "storage-object-count-tracker-hook",
    "start-apiextensions-informers",
    "start-apiextensions-controllers",
    "crd-informer-synced",
    "start-system-namespaces-controller",
    "start-cluster-authentication-info-controller",
    "storage-readiness",
    "start-service-ip-repair-controllers",
    "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes",
    "priority-and-fairness-config-producer",
    "bootstrap-controller",
    "start-kubernetes-service-cidr-controller",
    "start-kube-aggregator-informers",
    "apiservice-status-local-available-controller",
    "apiservice-status-remote-available-controller",
    "apiservice-registration-controller",
    "apiservice-wait-for-first-sync",
    "apiservice-discovery-controller",
    "kube-apiserver-autoregistration",
    "apiservice-openapi-controller",
    "apiservice-openapiv3-controller",
)
_STARTED: Final = (*(f"poststarthook/{name}" for name in _HOOKS), "autoregister-completion")


class Health:
    """Answers whether the server is well. checks: name -> whether it is, "etcd" among them."""

    def __init__(self, checks: Checks) -> None:
        self.is_stopping = False
        started = dict.fromkeys(_STARTED, _always)
        alive = {"ping": _always, "log": _always, **checks}
        last = {"shutdown": lambda: not self.is_stopping}
        ready = {**alive, "etcd-readiness": checks["etcd"], "informer-sync": _always, **started, **last}
        self._checks: Mapping[str, Checks] = {
            "healthz": {**alive, **started},
            "livez": {**alive, **started},
            _READY: ready,
        }
        self._registry = CollectorRegistry()
        self._now = Gauge(
            "kubernetes_healthcheck",
            "This metric records the result of a single healthcheck.",
            ("name", "type"),
            registry=self._registry,
        )
        self._total = Counter(
            "kubernetes_healthchecks",
            "This metric records the results of all healthcheck.",
            ("name", "type", "status"),
            registry=self._registry,
        )

    def answer(self, request: Request, path: str) -> Response | None:
        """Answer a path below one of PATHS, or None if it isn't. Raises ApiError (404)."""
        _, sort, *rest = path.split("/", 2)
        if f"/{sort}" not in PATHS:
            return None
        return self._one(sort, rest[0]) if rest else self._all(request, sort)

    def paths(self) -> Iterator[str]:
        """List the paths of all checks."""
        return (f"/{sort}/{name}" for sort, checks in self._checks.items() for name in checks)

    def indicators(self) -> bytes:
        """Render the answers given so far, checking anew."""
        for sort, checks in self._checks.items():
            for name in checks:
                self._is_well(sort, name)
        return generate_latest(self._registry)

    def _one(self, sort: str, name: str) -> Response:
        if name not in self._checks[sort]:
            raise errors.no_such_path()
        if self._is_well(sort, name):
            return respond.text(200, "ok")
        return respond.text(500, f"internal server error: {name} failed\n")

    def _all(self, request: Request, sort: str) -> Response:
        excluded = set(request.query.getall("exclude"))
        checks = self._checks[sort]
        results = {each: each in excluded or self._is_well(sort, each) for each in checks}
        is_well = all(results.values())
        if is_well and "verbose" not in request.query:
            return respond.text(200, "ok")
        lines = [_line(each, is_ok, each in excluded) for each, is_ok in results.items()]
        end = f"{sort} check {'passed' if is_well else 'failed'}\n"
        return respond.text(200 if is_well else 500, "\n".join([*lines, *_unknown(excluded, checks), end]))

    def _is_well(self, sort: str, name: str) -> bool:
        is_well = self._checks[sort][name]()
        self._now.labels(name, sort).set(is_well)
        self._total.labels(name, sort, "success" if is_well else "error").inc()
        return is_well


def _always() -> bool:
    return True


def _line(name: str, is_well: bool, is_excluded: bool) -> str:
    if is_excluded:
        return f"[+]{name} excluded: ok"
    return f"[+]{name} ok" if is_well else f"[-]{name} failed: reason withheld"


def _unknown(excluded: Collection[str], checks: Checks) -> list[str]:
    """Tell of what was to be left out but is no check."""
    unknown = ",".join(f'"{name}"' for name in sorted(set(excluded) - set(checks)))
    return [f"warn: some health checks cannot be excluded: no matches for {unknown}"] if unknown else []
