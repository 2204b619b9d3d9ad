"""What plugins that ask webhooks are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching.subject import FindNamespace, Subject
from nanokube.apiserver.admission.matching.versions import Versions
from nanokube.apiserver.admission.webhooks.caller import Caller
from nanokube.apiserver.admission.webhooks.hook import Candidate
from nanokube.apiserver.admission.webhooks.source import Source


class WebhookPlugin(chain.Plugin):
    """One a kind of configuration."""

    is_configured: ClassVar[bool] = True
    waits: ClassVar[bool] = True

    def __init__(
        self, source: Source, caller: Caller, versions: Versions, find_namespace: FindNamespace
    ) -> None:
        self._source = source
        self._caller = caller
        self._versions = versions
        self._find_namespace = find_namespace

    def _candidates(self, attributes: Attributes) -> Sequence[Candidate]:
        return () if attributes.is_settled else self._source.find(attributes)

    def _subject(self, attributes: Attributes) -> Subject:
        return Subject(attributes, self._versions, self._find_namespace)
