"""Metrics of policies, under upstream's names.

Source: staging apiserver pkg/admission/plugin/policy/{validating,mutating}/metrics/metrics.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.registry import Collector

NO_ERROR: Final = "no_error"
INVALID: Final = "invalid_error"
OUT_OF_BUDGET: Final = "out_of_budget"
COMPILE: Final = "compile_error"
_BUCKETS: Final = (0.0000005, 0.001, 0.01, 0.1, 1.0)


class PolicyMetrics:
    """One set a kind of policies. subsystem: validating_admission_policy or mutating_admission_policy."""

    def __init__(self, subsystem: str) -> None:
        labels = ("policy", "policy_binding", "error_type", "enforcement_action")
        self._checks = Counter(
            f"apiserver_{subsystem}_check", "Checks of policies by outcome.", labels, registry=None
        )
        self._duration = Histogram(
            f"apiserver_{subsystem}_check_duration_seconds",
            "Seconds that checks of policies took.",
            labels,
            buckets=_BUCKETS,
            registry=None,
        )
        self.collectors: Sequence[Collector] = (self._checks, self._duration)

    def observe(self, policy: str, binding: str, error: str, action: str, seconds: float) -> None:
        """Count a check. action: allow, deny, audit, warn. error: the message, empty for none."""
        labels = (policy, binding, _kind(error), action)
        self._checks.labels(*labels).inc()
        self._duration.labels(*labels).observe(seconds)


def _kind(error: str) -> str:
    if not error:
        return NO_ERROR
    if error.startswith("compilation error"):
        return COMPILE
    return OUT_OF_BUDGET if "cost budget" in error else INVALID
