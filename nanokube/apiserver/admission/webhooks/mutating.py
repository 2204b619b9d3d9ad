"""MutatingAdmissionWebhook: webhooks change the object, one after the other.

Source: staging apiserver pkg/admission/plugin/webhook/mutating.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import orjson

from nanokube.api import errors, patch
from nanokube.api.errors import ApiError
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching.rounds import Rounds
from nanokube.apiserver.admission.matching.subject import Shown, Subject
from nanokube.apiserver.admission.webhooks.hook import Candidate
from nanokube.apiserver.admission.webhooks.plugin import WebhookPlugin
from nanokube.apiserver.admission.webhooks.review import Verdict

_MUTATION: Final = "mutation.webhook.admission.k8s.io/"
_PATCH: Final = "patch.webhook.admission.k8s.io/"


class MutatingWebhooks(WebhookPlugin):
    """Behind all other plugins that change, so that webhooks see what they made."""

    name: ClassVar[str] = "MutatingAdmissionWebhook"

    def may_change(self, attributes: Attributes) -> bool:
        """Tell whether webhooks are about the request."""
        return bool(self._candidates(attributes))

    async def mutate(self, attributes: Attributes) -> None:
        """Ask the webhooks and do what they answer. Raises ApiError."""
        candidates = self._candidates(attributes)
        if not candidates:
            return
        rounds = Rounds.begin(attributes, "webhooks")
        with self._subject(attributes) as subject:
            for candidate in candidates:
                await self._one(candidate, subject, rounds)
        rounds.end(attributes)

    async def _one(self, candidate: Candidate, subject: Subject, rounds: Rounds) -> None:
        hook, a = candidate.hook, subject.attributes
        key = (hook.configuration, hook.name)
        if not self._caller.is_wanted(hook, subject):
            return
        shown = await subject.at(candidate.resource)
        if not self._caller.fits(hook, subject, shown):
            return
        if not rounds.is_due(a, key):
            return
        is_changed = False
        try:
            verdict = await self._caller.ask(candidate, subject, shown)
            if verdict is not None and verdict.patch:
                is_changed = await self._patch(candidate, subject, shown, verdict)
        finally:
            place = f"round_{a.round}_index_{candidate.index}"
            about = {"configuration": hook.configuration, "webhook": hook.name}
            a.annotations[_MUTATION + place] = orjson.dumps({**about, "mutated": is_changed}).decode()
        rounds.asked(a, key, is_changed=is_changed, is_repeated=hook.is_repeated)

    async def _patch(self, candidate: Candidate, subject: Subject, shown: Shown, verdict: Verdict) -> bool:
        hook = candidate.hook
        if shown.obj is None:
            text = f'admission webhook "{hook.name}" attempted to modify the object, which is not supported '
            raise errors.internal(f"{text}for this operation")
        try:
            new = patch.apply_json_patch(dict(shown.obj), verdict.patch)
            is_changed = await subject.put(shown, _object(new))
        except ApiError as err:
            raise errors.internal(err.message) from err
        place = f"round_{subject.attributes.round}_index_{candidate.index}"
        about = {"configuration": hook.configuration, "webhook": hook.name, "patch": verdict.patch}
        text = orjson.dumps({**about, "patchType": "JSONPatch"}).decode()
        subject.attributes.request_annotations[_PATCH + place] = text
        return is_changed


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("metadata", {}), Mapping):
        raise errors.internal("the patched document is not an object")
    return value
