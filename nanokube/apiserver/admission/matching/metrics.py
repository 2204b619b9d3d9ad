"""Metrics of match conditions, under upstream's names.

Source: staging apiserver pkg/admission/metrics/metrics.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.registry import Collector

WEBHOOK: Final = "webhook"
POLICY: Final = "policy"
_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25)


class ConditionMetrics:
    """One set a server. kind: WEBHOOK or POLICY. type_: admit, validating, validate.

    Conditions that were seen to be false together with others' are not counted one by one.
    """

    def __init__(self) -> None:
        labels = ("name", "kind", "type", "operation")
        self._seconds = Histogram(
            "apiserver_admission_match_condition_evaluation_seconds",
            "Seconds that match conditions took.",
            labels,
            buckets=_BUCKETS,
            registry=None,
        )
        self._errors = Counter(
            "apiserver_admission_match_condition_evaluation_errors",
            "Match conditions that could not be evaluated.",
            labels,
            registry=None,
        )
        self._exclusions = Counter(
            "apiserver_admission_match_condition_exclusions",
            "Requests that a webhook's match conditions kept from it.",
            labels,
            registry=None,
        )
        self.collectors: Sequence[Collector] = (self._seconds, self._errors, self._exclusions)

    def observe(
        self, name: str, kind: str, type_: str, operation: str, seconds: float, failures: int
    ) -> None:
        """Count an evaluation. failures: expressions without a result."""
        self._seconds.labels(name, kind, type_, operation).observe(seconds)
        if failures:
            self._errors.labels(name, kind, type_, operation).inc(failures)

    def exclude(self, name: str, kind: str, type_: str, operation: str) -> None:
        """Count a request that conditions kept away."""
        self._exclusions.labels(name, kind, type_, operation).inc()
