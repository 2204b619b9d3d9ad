"""MutatingAdmissionWebhook: webhooks change the object, one after the other.

Source: staging apiserver pkg/admission/plugin/webhook/mutating.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from nanokube.api import errors, objects, patch
from nanokube.api.errors import ApiError
from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching.subject import FindNamespace, Shown, Subject
from nanokube.apiserver.admission.matching.versions import Versions
from nanokube.apiserver.admission.webhooks.caller import Caller
from nanokube.apiserver.admission.webhooks.hook import Candidate
from nanokube.apiserver.admission.webhooks.review import Verdict
from nanokube.apiserver.admission.webhooks.source import Source

_MUTATION: Final = "mutation.webhook.admission.k8s.io/"
_PATCH: Final = "patch.webhook.admission.k8s.io/"


class _Memory:
    """What one write's first round leaves to its second."""

    def __init__(self) -> None:
        self.output: Any = None
        self.asked: set[tuple[str, str]] = set()  # whoever wants to be asked again
        self.again: set[tuple[str, str]] = set()


class MutatingWebhooks(chain.Plugin):
    """Behind all other plugins that change, so that webhooks see what they made."""

    is_configured = True

    def __init__(
        self, source: Source, caller: Caller, versions: Versions, find_namespace: FindNamespace
    ) -> None:
        self._source = source
        self._caller = caller
        self._versions = versions
        self._find_namespace = find_namespace

    async def mutate(self, attributes: Attributes) -> None:
        """Ask the webhooks and do what they answer. Raises ApiError."""
        candidates = self._source.find(attributes)
        if not candidates or attributes.is_settled:
            return
        subject = Subject(attributes, self._versions, self._find_namespace)
        memory: _Memory = attributes.notes.setdefault("webhooks", _Memory())
        if attributes.round and memory.output != attributes.obj:
            memory.again |= memory.asked  # built-in plugins have changed the object since
        for candidate in candidates:
            await self._one(candidate, subject, memory)
        memory.output = objects.copy(attributes.obj)

    async def _one(self, candidate: Candidate, subject: Subject, memory: _Memory) -> None:
        hook, a = candidate.hook, subject.attributes
        key = (hook.configuration, hook.name)
        if not self._caller.is_wanted(hook, subject):
            return
        shown = await subject.at(candidate.resource)
        if not self._caller.fits(hook, subject, shown):
            return
        if a.round and key not in memory.again:
            return
        memory.again.discard(key)
        is_changed = False
        try:
            verdict = await self._caller.ask(candidate, subject, shown)
            if verdict is not None and verdict.patch:
                is_changed = await self._patch(candidate, subject, shown, verdict)
        finally:
            place = f"round_{a.round}_index_{candidate.index}"
            about = {"configuration": hook.configuration, "webhook": hook.name}
            a.annotations[_MUTATION + place] = orjson.dumps({**about, "mutated": is_changed}).decode()
        if is_changed:
            memory.again |= memory.asked
            a.goes_again = True
        if hook.is_repeated:
            memory.asked.add(key)

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
