"""The policies of one kind with their bindings, found by what they are about."""

from __future__ import annotations

from collections.abc import Sequence

from nanokube.api.resources import Resource
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching.table import Table
from nanokube.apiserver.admission.matching.versions import Versions
from nanokube.apiserver.admission.policies import plan, policy
from nanokube.apiserver.admission.policies.plan import Plan
from nanokube.apiserver.admission.policies.policy import Policy
from nanokube.apiserver.cache.caches import Caches


class Source:
    """policies, bindings: storage names."""

    def __init__(self, caches: Caches, policies: str, bindings: str, versions: Versions) -> None:
        self._policies = caches.of(policies)
        self._bindings = caches.of(bindings)
        self._versions = versions
        self._loaded: Sequence[Policy] = ()
        self._table = Table(caches, (policies, bindings), self._load, self._select)

    def find(self, attributes: Attributes) -> Plan:
        """Give the policies that are about such a request."""
        return self._table.find(attributes) or plan.EMPTY

    def _load(self) -> None:
        self._loaded = policy.read(
            (item.view() for item in self._policies.scan()), (item.view() for item in self._bindings.scan())
        )

    def _select(self, operation: str, resource: Resource, subresource: str) -> Plan:
        if not self._loaded:
            return plan.EMPTY
        others = self._versions.others(resource)
        return plan.make(self._loaded, operation, resource, others, subresource)
