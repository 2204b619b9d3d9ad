"""Metrics of webhooks, under upstream's names.

Source: staging apiserver pkg/admission/metrics/metrics.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import Collector

ADMIT: Final = "admit"
VALIDATING: Final = "validating"
_BUCKETS: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0)


class WebhookMetrics:
    """One set a server."""

    def __init__(self) -> None:
        self._duration = Histogram(
            "apiserver_admission_webhook_admission_duration_seconds",
            "Seconds that webhooks took.",
            ("name", "type", "operation", "rejected"),
            buckets=_BUCKETS,
            registry=None,
        )
        # A Counter here would call them ..._total, which upstream does not.
        self._rejections = Gauge(
            "apiserver_admission_webhook_rejection_count",
            "Requests refused by a webhook or because of one.",
            ("name", "type", "operation", "error_type", "rejection_code"),
            registry=None,
        )
        self._fail_open = Gauge(
            "apiserver_admission_webhook_fail_open_count",
            "Webhooks that could not be asked, and were done without.",
            ("name", "type"),
            registry=None,
        )
        self._requests = Counter(
            "apiserver_admission_webhook_request",
            "Calls of webhooks by outcome.",
            ("name", "type", "operation", "code", "rejected"),
            registry=None,
        )
        self.collectors: Sequence[Collector] = (
            self._duration,
            self._rejections,
            self._fail_open,
            self._requests,
        )

    def observe(
        self, name: str, kind: str, operation: str, code: int, seconds: float, *, is_rejected: bool
    ) -> None:
        """Count a call."""
        rejected = "true" if is_rejected else "false"
        self._duration.labels(name, kind, operation, rejected).observe(seconds)
        self._requests.labels(name, kind, operation, str(min(code, 600)), rejected).inc()

    def reject(self, name: str, kind: str, operation: str, error_type: str, code: int) -> None:
        """Count a refusal. error_type: calling_webhook_error, apiserver_internal_error, no_error."""
        self._rejections.labels(name, kind, operation, error_type, str(min(code, 600))).inc()

    def fail_open(self, name: str, kind: str) -> None:
        """Count a webhook done without."""
        self._fail_open.labels(name, kind).inc()
