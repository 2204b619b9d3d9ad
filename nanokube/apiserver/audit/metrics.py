"""Metrics of auditing under upstream's names.

Source: staging apiserver pkg/audit/metrics.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import Counter
from prometheus_client.registry import Collector


class AuditMetrics:
    """One set a server; unregistered until collectors are."""

    def __init__(self) -> None:
        self.events = Counter(
            "apiserver_audit_event", "Audit events generated and sent to the backends.", registry=None
        )
        self.errors = Counter(
            "apiserver_audit_error",
            "Audit events that were not recorded properly, by the part that failed.",
            ("plugin",),
            registry=None,
        )
        self.levels = Counter(
            "apiserver_audit_level", "Requests by the level the policy gave them.", ("level",), registry=None
        )
        self.rejected = Counter(
            "apiserver_audit_requests_rejected",
            "Requests refused because they could not be recorded.",
            registry=None,
        )

    @property
    def collectors(self) -> Sequence[Collector]:
        """All of them, for a registry."""
        return self.events, self.errors, self.levels, self.rejected
