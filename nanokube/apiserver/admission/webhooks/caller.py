"""Asks one webhook about one write: the call, its outcome, and what to do when there is none.

Source: staging apiserver pkg/admission/plugin/webhook/{mutating,validating}/dispatcher.go.
"""

from __future__ import annotations

import logging
import time
import uuid
from typing import Final

from nanokube.api import errors
from nanokube.api.errors import ApiError
from nanokube.apiserver.admission.matching.metrics import WEBHOOK, ConditionMetrics
from nanokube.apiserver.admission.matching.subject import Shown, Subject
from nanokube.apiserver.admission.matching.values import Values
from nanokube.apiserver.admission.webhooks import metrics, review
from nanokube.apiserver.admission.webhooks.hook import Candidate, Hook
from nanokube.apiserver.admission.webhooks.metrics import WebhookMetrics
from nanokube.apiserver.admission.webhooks.review import Verdict
from nanokube.apiserver.authz.authorizer import Authorizer
from nanokube.apiserver.outgoing.client import CallFailed, Client

log = logging.getLogger(__name__)

_WITHOUT_EFFECTS: Final = ("None", "NoneOnDryRun")
_PREFIX: Final = {
    metrics.ADMIT: "mutation.webhook.admission.k8s.io/",
    metrics.VALIDATING: "validating.webhook.admission.k8s.io/",
}


class Caller:
    """kind: metrics.ADMIT or metrics.VALIDATING."""

    def __init__(
        self,
        client: Client,
        authorizer: Authorizer,
        counts: WebhookMetrics,
        conditions: ConditionMetrics,
        kind: str,
    ) -> None:
        self._client = client
        self._authorizer = authorizer
        self._counts = counts
        self._conditions = conditions
        self._kind = kind

    def is_wanted(self, hook: Hook, subject: Subject) -> bool:
        """Tell whether the selectors take the request. Raises ApiError."""
        return subject.selects_namespace(hook.namespaces) and subject.selects_object(hook.objects)

    def fits(self, hook: Hook, subject: Subject, shown: Shown) -> bool:
        """Tell whether the match conditions hold. Raises ApiError (403)."""
        if hook.conditions is None:
            return True
        a, started = subject.attributes, time.perf_counter()
        outcome = hook.conditions.evaluate(Values.of(subject, shown, self._authorizer))
        about = (hook.name, WEBHOOK, self._kind, a.operation)
        self._conditions.observe(*about, time.perf_counter() - started, outcome.failures)
        if outcome.error:
            raise errors.forbidden(subject.resource, a.name, outcome.error)
        if not outcome.holds:
            self._conditions.exclude(*about)
        return outcome.holds

    async def ask(self, candidate: Candidate, subject: Subject, shown: Shown) -> Verdict | None:
        """Ask; None if the webhook cannot be asked and that is no matter. Raises ApiError: it refuses."""
        hook, a = candidate.hook, subject.attributes
        started = time.perf_counter()
        try:
            self._check_dry_run(hook, subject)
            verdict = await self._call(hook, subject, shown)
        except ApiError as err:
            self._observe(hook, a.operation, 0, started, is_rejected=True)
            self._counts.reject(hook.name, self._kind, a.operation, "apiserver_internal_error", 0)
            raise err
        except CallFailed as err:
            self._observe(hook, a.operation, err.code, started, is_rejected=hook.is_fatal)
            self._failed(candidate, subject, err)
            return None
        for key, value in verdict.annotations.items():
            a.annotations[f"{hook.name}/{key}"] = value
        a.warnings.extend(verdict.warnings)
        if verdict.is_allowed:
            self._observe(hook, a.operation, 200, started, is_rejected=False)
            return verdict
        refusal = review.refusal(hook.name, verdict.result)
        self._observe(hook, a.operation, refusal.code, started, is_rejected=True)
        self._counts.reject(hook.name, self._kind, a.operation, "no_error", refusal.code)
        raise refusal

    async def _call(self, hook: Hook, subject: Subject, shown: Shown) -> Verdict:
        version = review.version_of(hook.reviews)
        if version is None:
            cause = "webhook does not accept known AdmissionReview versions (v1, v1beta1)"
            raise CallFailed(f"could not create admission objects: {cause}", 400)
        uid = str(uuid.uuid4())
        body = review.build(version, uid, subject.request(shown), shown)
        try:
            answer = await self._client.post(hook.client, body, hook.timeout_s)
        except CallFailed as err:
            raise CallFailed(f"failed to call webhook: {err}", err.code, is_timeout=err.is_timeout) from err
        try:
            return review.judge(version, uid, answer, is_mutating=self._kind == metrics.ADMIT)
        except review.Unusable as err:
            raise CallFailed(f"received invalid webhook response: {err}") from err

    def _check_dry_run(self, hook: Hook, subject: Subject) -> None:
        if subject.attributes.is_dry_run and hook.side_effects not in _WITHOUT_EFFECTS:
            raise errors.bad_request(f'admission webhook "{hook.name}" does not support dry run')

    def _failed(self, candidate: Candidate, subject: Subject, err: CallFailed) -> None:
        hook, a = candidate.hook, subject.attributes
        text = f'failed calling webhook "{hook.name}": {err}'
        if hook.is_fatal:
            self._counts.reject(hook.name, self._kind, a.operation, "calling_webhook_error", err.code)
            log.warning("webhook failed, request refused: %s", text)
            raise errors.internal(text)
        self._counts.fail_open(hook.name, self._kind)
        place = f"round_{a.round}_index_{candidate.index}"
        a.annotations[f"failed-open.{_PREFIX[self._kind]}{place}"] = hook.name
        log.warning("webhook failed, done without: %s", text)

    def _observe(self, hook: Hook, operation: str, code: int, started: float, *, is_rejected: bool) -> None:
        seconds = time.perf_counter() - started
        self._counts.observe(hook.name, self._kind, operation, code, seconds, is_rejected=is_rejected)
