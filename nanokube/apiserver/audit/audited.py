"""The server and its admission with auditing around them; without a policy neither is used.

Source: staging apiserver pkg/endpoints/filters/{audit,audit_init,authorization}.go, pkg/admission/audit.go.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any, Final

from nanokube.api import errors
from nanokube.api.errors import ApiError
from nanokube.apiserver.admission.chain import Attributes, Chain
from nanokube.apiserver.app import App, Result
from nanokube.apiserver.audit.auditor import Auditor
from nanokube.apiserver.audit.trail import CURRENT, Trail
from nanokube.apiserver.authn.user import User
from nanokube.apiserver.authz import authorizer as authz
from nanokube.apiserver.authz.authorizer import Decision
from nanokube.apiserver.endpoints import respond
from nanokube.apiserver.flowcontrol.level import Flow
from nanokube.apiserver.requestinfo import RequestInfo, parse
from nanokube.kit.http.message import Answer, Request, Response

DECISION: Final = "authorization.k8s.io/decision"
REASON: Final = "authorization.k8s.io/reason"


class AuditedApp(App):
    """Records requests as they pass."""

    def __init__(self, auditor: Auditor, *parts: Any) -> None:
        super().__init__(*parts)
        self._auditor = auditor

    def handle(self, request: Request) -> Result:
        """Answer a request, and record it."""
        trail = Trail(self._auditor, request)
        token = CURRENT.set(trail)
        try:
            result = super().handle(request)
            if inspect.isawaitable(result):
                return self._followed(trail, result)
            answer = _concluded(trail, result)
        finally:
            CURRENT.reset(token)
        return self._recorded(trail, answer) if trail.waiters else answer

    async def _followed(self, trail: Trail, pending: Awaitable[Answer]) -> Answer:
        token = CURRENT.set(trail)
        try:
            answer = _concluded(trail, await pending)
        except asyncio.CancelledError:
            trail.cut()
            raise
        finally:
            CURRENT.reset(token)
        return await self._recorded(trail, answer) if trail.waiters else answer

    async def _recorded(self, trail: Trail, answer: Answer) -> Answer:
        """Wait until the events are delivered."""
        if await _is_refused(trail):
            return trail.conclude(self._unrecorded(trail))
        return answer

    def _unrecorded(self, trail: Trail) -> Answer:
        """Refuse what could not be recorded."""
        if not trail.is_dropped:
            trail.is_dropped = True
            self._auditor.metrics.rejected.inc()
        return respond.failure(errors.internal("failed to store audit event"))

    async def _finish(
        self,
        request: Request,
        info: RequestInfo,
        user: User,
        flow: Flow | None,
        pending: Awaitable[Answer] | None,
        started: float,
    ) -> Answer:
        trail = CURRENT.get()
        if trail is not None and self._auditor.is_strict and await _is_refused(trail):
            if inspect.iscoroutine(pending):
                pending.close()  # nothing may happen unrecorded
            return self._done(info, flow, self._unrecorded(trail), started)
        return await super()._finish(request, info, user, flow, pending, started)

    def _identify(self, request: Request, info: RequestInfo) -> User:
        trail = CURRENT.get()
        assert trail is not None
        try:
            user = self._authenticator.authenticate(request)
        except ApiError:
            trail.begin(info, None)
            raise
        trail.begin(info, user)
        effective = self._impersonated(request, user)
        if effective is not user:
            trail.impersonated = effective
        return effective

    def _decide(self, attributes: authz.Attributes) -> tuple[Decision, str]:
        decision, reason = super()._decide(attributes)
        trail = CURRENT.get()
        if trail is not None:
            is_allowed = decision is Decision.ALLOW
            trail.annotations[DECISION] = "allow" if is_allowed else "forbid"
            trail.annotations[REASON] = reason
            trail.is_admitted = is_allowed
            a = attributes
            trail.resource = self._registry.kinds.find(a.group, a.version, a.resource)
        return decision, reason

    def _failed(self, request: Request, err: Exception) -> Response:
        trail = CURRENT.get()
        answer = super()._failed(request, err)
        if trail is not None and answer.status == 500:
            trail.crash = err
        return answer


def _concluded(trail: Trail, answer: Answer) -> Answer:
    if trail.verdict is None:  # refused before anybody asked who it is
        trail.begin(parse(trail.request), None)
    return trail.conclude(answer)


async def _is_refused(trail: Trail) -> bool:
    """Wait for the events so far; tell whether one that had to be delivered was not."""
    waiters, trail.waiters = trail.waiters, []
    found = [(await waiter, is_strict) for waiter, is_strict in waiters]
    return any(is_strict and not is_delivered for is_delivered, is_strict in found)


class AuditedChain(Chain):
    """Admission that notes what plugins say to auditors."""

    def __init__(self, inner: Chain) -> None:
        self._inner = inner

    async def mutate(self, attributes: Attributes) -> None:
        """Let every plugin change the object."""
        try:
            await self._inner.mutate(attributes)
        finally:
            _note(attributes)

    async def validate(self, attributes: Attributes) -> None:
        """Let every plugin judge the object."""
        try:
            await self._inner.validate(attributes)
        finally:
            _note(attributes)

    async def ask_configured(self, attributes: Attributes) -> None:
        """Let only webhooks and policies change and judge."""
        try:
            await self._inner.ask_configured(attributes)
        finally:
            _note(attributes)


def _note(attributes: Attributes) -> None:
    trail = CURRENT.get()
    if trail is not None and trail.is_recorded:
        trail.note(attributes.annotations)
        if trail.wants_bodies:
            trail.note(attributes.request_annotations)
