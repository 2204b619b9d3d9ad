"""The webhooks of one kind of configuration, found by what they are about."""

from __future__ import annotations

from collections.abc import Sequence

from nanokube.api.resources import Resource
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching.table import Table
from nanokube.apiserver.admission.matching.versions import Versions
from nanokube.apiserver.admission.webhooks import hook as hooks
from nanokube.apiserver.admission.webhooks.hook import Candidate, Hook
from nanokube.apiserver.cache.caches import Caches


class Source:
    """storage_name: of the configurations."""

    def __init__(self, caches: Caches, storage_name: str, versions: Versions) -> None:
        self._configurations = caches.of(storage_name)
        self._versions = versions
        self._hooks: Sequence[Hook] = ()
        self._table = Table(caches, (storage_name,), self._load, self._select)

    def find(self, attributes: Attributes) -> tuple[Candidate, ...]:
        """List the webhooks whose rules are about such a request."""
        return self._table.find(attributes) or ()

    def _load(self) -> None:
        self._hooks = hooks.read(item.object() for item in self._configurations.scan())

    def _select(self, operation: str, resource: Resource, subresource: str) -> tuple[Candidate, ...]:
        if not self._hooks:
            return ()
        others = self._versions.others(resource)
        return hooks.candidates(self._hooks, operation, resource, others, subresource)
