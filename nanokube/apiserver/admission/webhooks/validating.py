"""ValidatingAdmissionWebhook: webhooks judge the final object, all at the same time.

Source: staging apiserver pkg/admission/plugin/webhook/validating.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from nanokube.api.errors import ApiError
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching.subject import Shown, Subject
from nanokube.apiserver.admission.webhooks.hook import Candidate
from nanokube.apiserver.admission.webhooks.plugin import WebhookPlugin


class ValidatingWebhooks(WebhookPlugin):
    """Before the quotas: what is refused must not be booked."""

    name: ClassVar[str] = "ValidatingAdmissionWebhook"

    async def validate(self, attributes: Attributes) -> None:
        """Ask the webhooks. Raises ApiError."""
        candidates = self._candidates(attributes)
        if candidates:
            with self._subject(attributes) as subject:
                await self._judge(candidates, subject)

    async def _judge(self, candidates: Sequence[Candidate], subject: Subject) -> None:
        relevant: list[tuple[Candidate, Shown]] = []
        for candidate in candidates:
            if self._caller.is_wanted(candidate.hook, subject):
                shown = await subject.at(candidate.resource)
                if self._caller.fits(candidate.hook, subject, shown):
                    relevant.append((candidate, shown))
        refusals: list[ApiError] = []

        async def ask(candidate: Candidate, shown: Shown) -> None:
            try:
                await self._caller.ask(candidate, subject, shown)
            except ApiError as err:
                refusals.append(err)

        if len(relevant) == 1:
            await ask(*relevant[0])
        elif relevant:
            async with asyncio.TaskGroup() as group:
                for candidate, shown in relevant:
                    group.create_task(ask(candidate, shown))
        if refusals:
            raise refusals[0]
