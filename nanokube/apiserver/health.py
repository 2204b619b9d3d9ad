"""Health: /healthz, /livez and /readyz, and what their answers were, as metrics (/metrics/slis).

Names are upstream's where one exists: "etcd" is the store, whatever it is, as probes ask for that.
Source: staging apiserver pkg/server/healthz/healthz.go, component-base metrics/prometheus/slis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import generate_latest

from nanokube.api import errors
from nanokube.apiserver.endpoints import respond
from nanokube.kit.http.message import Request, Response

Checks = Mapping[str, Callable[[], bool]]
PATHS: Final = ("/healthz", "/livez", "/readyz")


class Health:
    """Answers whether the server is well. checks: name -> whether it is."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
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

    def indicators(self) -> bytes:
        """Render the answers given so far, checking anew."""
        for sort in ("healthz", "livez", "readyz"):
            for name in self._checks:
                self._is_well(sort, name)
        return generate_latest(self._registry)

    def _one(self, sort: str, name: str) -> Response:
        if name not in self._checks:
            raise errors.no_such_path()
        is_well = self._is_well(sort, name)
        return respond.text(200, "ok") if is_well else respond.text(500, f"{name} check failed\n")

    def _all(self, request: Request, sort: str) -> Response:
        excluded = set(request.query.getall("exclude"))
        results = [(each, self._is_well(sort, each)) for each in self._checks if each not in excluded]
        is_well = all(is_ok for _, is_ok in results)
        if is_well and "verbose" not in request.query:
            return respond.text(200, "ok")
        lines = [f"[{'+' if is_ok else '-'}]{each} {'ok' if is_ok else 'failed'}" for each, is_ok in results]
        end = f"{sort} check {'passed' if is_well else 'failed'}\n"
        return respond.text(200 if is_well else 500, "\n".join([*lines, end]))

    def _is_well(self, sort: str, name: str) -> bool:
        is_well = self._checks[name]()
        self._now.labels(name, sort).set(is_well)
        self._total.labels(name, sort, "success" if is_well else "error").inc()
        return is_well
