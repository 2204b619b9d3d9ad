"""The policies of one kind with their bindings, found by what they are about.

To read and compile a thousand takes seconds: it is done in slices, ahead (`warm`) or when the first request
comes that they may be about, and such requests wait for it. A change reads again only what changed.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanokube.api.resources import Resource
from nanokube.api.steps import Steps
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching.table import Table
from nanokube.apiserver.admission.matching.versions import Versions
from nanokube.apiserver.admission.policies import plan, policy
from nanokube.apiserver.admission.policies.plan import Plan
from nanokube.apiserver.admission.policies.policy import Policy
from nanokube.apiserver.cache.caches import Caches
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.slices import Work

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A plan, and what it is made of; loaded None: there are no policies."""

    loaded: Work[list[Policy]] | None
    plan: Work[Plan]


class Source:
    """policies, bindings: storage names."""

    def __init__(self, caches: Caches, policies: str, bindings: str, versions: Versions) -> None:
        self._policies = caches.of(policies)
        self._bindings = caches.of(bindings)
        self._versions = versions
        self._known: dict[str, tuple[list[Object], Policy]] = {}  # by name, with what it was read of
        self._loaded: Work[list[Policy]] | None = None
        self._table = Table(caches, (policies, bindings), self._load, self._select)

    async def find(self, attributes: Attributes) -> Plan:
        """Give the policies that are about such a request, as they are when it asks or later."""
        found = self._table.find(attributes)
        if found is None or found.loaded is None:
            return plan.EMPTY
        if not found.plan.is_done:
            await found.loaded.result()
        return await found.plan.result()

    def has_any(self, attributes: Attributes) -> bool:
        """Tell whether there are policies, unless none can be about such a request."""
        found = self._table.find(attributes)
        return found is not None and found.loaded is not None

    async def policies(self) -> Sequence[Policy]:
        """Read the policies that are bound, unless they are read."""
        self._table.refresh()
        return await self._loaded.result() if self._loaded is not None else ()

    def _load(self) -> None:
        items, bindings = list(self._policies.scan()), list(self._bindings.scan())
        self._loaded = Work(lambda: self._read(items, bindings)) if items and bindings else None

    def _read(self, items: Sequence[Item], bindings: Sequence[Item]) -> Steps[list[Policy]]:
        """Read the policies that are bound, in order of their names."""
        viewed = []
        for item in bindings:
            viewed.append(item.view())
            yield
        bound, known = policy.bound(viewed), dict[str, tuple[list[Object], Policy]]()
        for item in sorted(items, key=operator.attrgetter("name")):
            if item.name not in bound:
                continue
            parts = [item.view(), *bound[item.name]]
            before = self._known.get(item.name)
            if before is not None and list(map(id, before[0])) == list(map(id, parts)):
                known[item.name] = before
            else:
                known[item.name] = parts, policy.read(parts[0], parts[1:])
            yield
        self._known = known
        return [read for _, read in known.values()]

    def _select(self, operation: str, resource: Resource, subresource: str) -> _Choice:
        loaded = self._loaded

        def begin() -> Steps[Plan]:
            others = self._versions.others(resource)
            return plan.make(loaded.value if loaded else (), operation, resource, others, subresource)

        return _Choice(loaded, Work(begin))
