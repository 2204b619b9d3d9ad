"""What plugins that evaluate policies are made of."""

from __future__ import annotations

from typing import ClassVar

from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching.subject import FindNamespace, Subject
from nanokube.apiserver.admission.matching.versions import Versions
from nanokube.apiserver.admission.policies.matched import Matcher
from nanokube.apiserver.admission.policies.metrics import PolicyMetrics
from nanokube.apiserver.admission.policies.plan import Plan
from nanokube.apiserver.admission.policies.source import Source


class PolicyPlugin(chain.Plugin):
    """One a kind of policy."""

    is_configured: ClassVar[bool] = True
    waits: ClassVar[bool] = True

    def __init__(
        self,
        source: Source,
        matcher: Matcher,
        versions: Versions,
        find_namespace: FindNamespace,
        counts: PolicyMetrics,
    ) -> None:
        self._source = source
        self._matcher = matcher
        self._versions = versions
        self._find_namespace = find_namespace
        self._counts = counts

    async def _plan(self, attributes: Attributes) -> Plan | None:
        return None if attributes.is_settled else await self._source.find(attributes)

    def _subject(self, attributes: Attributes) -> Subject:
        return Subject(attributes, self._versions, self._find_namespace)
