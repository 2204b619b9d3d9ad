"""Judges requests by the policy and hands their events to the backends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.apiserver.audit import event as events
from nanokube.apiserver.audit import policy as policies
from nanokube.apiserver.audit.logfile import LogBackend
from nanokube.apiserver.audit.metrics import AuditMetrics
from nanokube.apiserver.audit.policy import Policy, Verdict
from nanokube.apiserver.audit.settings import AuditSettings
from nanokube.apiserver.audit.sink import Sink
from nanokube.apiserver.audit.webhook import WebhookBackend
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.requestinfo import RequestInfo
from nanokube.kit.clock import Clock

Waiter = asyncio.Future[bool]


class Auditor:
    """One a server. run() must be under way for events to be delivered."""

    def __init__(self, policy: Policy, sinks: Sequence[Sink], metrics: AuditMetrics, clock: Clock) -> None:
        self._policy = policy
        self._sinks = sinks
        self.metrics = metrics
        self.clock = clock
        self._levels = {level: metrics.levels.labels(level.title) for level in policies.Level}

    @property
    def is_strict(self) -> bool:
        """Requests that cannot be recorded are refused."""
        return any(sink.is_strict for sink in self._sinks)

    def judge(self, user: User | None, info: RequestInfo) -> Verdict:
        """Decide what becomes of a request. user: None if nobody knows."""
        verdict = self._policy.judge(user, info)
        self._levels[verdict.level].inc()
        return verdict

    def emit(self, event: Mapping[str, Any]) -> list[tuple[Waiter, bool]]:
        """Hand out an event. Returns what the answer must wait for, and whether it fails if that does."""
        self.metrics.events.inc()
        encoded = events.encode(event)
        offered = ((sink.offer(event, encoded), sink.is_strict) for sink in self._sinks)
        return [(waiter, is_strict) for waiter, is_strict in offered if waiter is not None]

    async def run(self) -> None:
        """Deliver events until cancelled."""
        async with asyncio.TaskGroup() as group:
            for sink in self._sinks:
                group.create_task(sink.run())

    async def close(self) -> None:
        """Deliver what is left."""
        for sink in self._sinks:
            await sink.close()


def open_auditor(settings: AuditSettings | None, clock: Clock) -> Auditor | None:
    """Read the policy, open the backends; without settings there is none. Raises OSError, ValueError."""
    if settings is None:
        return None
    policy, metrics = policies.load(settings.policy_file), AuditMetrics()
    sinks = []
    if settings.log is not None:
        backend = LogBackend(settings.log, metrics, clock.time)
        sinks.append(Sink(backend, settings.log.delivery, metrics))
    if settings.webhook is not None:
        sinks.append(Sink(WebhookBackend(settings.webhook, metrics), settings.webhook.delivery, metrics))
    return Auditor(policy, sinks, metrics, clock)
