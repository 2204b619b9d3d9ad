"""Aggregated ClusterRoles: their rules are those of all ClusterRoles that their selectors select.

Upstream's controller manager does this; here it is the server, whose cache has the roles already.
Source: pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, Never

from nanokube.api import errors, resources, selectors
from nanokube.apiserver.authn.user import MASTERS, User
from nanokube.apiserver.authz.rbac import CLUSTER_ROLES
from nanokube.apiserver.cache.cache import Change
from nanokube.apiserver.registry import update
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.registry import Registry

log = logging.getLogger(__name__)

_SELF: Final = User("system:serviceaccount:kube-system:clusterrole-aggregation-controller", (MASTERS,))
_MANAGER: Final = "clusterrole-aggregation-controller"


class Aggregation:
    """Keeps aggregated roles up to date."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._changed = asyncio.Event()
        self._cache = registry.caches.of(CLUSTER_ROLES)

    def offer(self, change: Change) -> None:
        """A role changed."""
        self._changed.set()

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    async def run(self) -> Never:
        """Follow changes, for ever."""
        self._cache.attach(self)
        while True:
            self._changed.clear()
            try:
                await self.settle()
            except errors.ApiError as err:
                log.warning("cannot aggregate cluster roles: %s", err.message)
            await self._changed.wait()

    async def settle(self) -> None:
        """Write every aggregated role whose rules are not what they should be, until none is left."""
        for _ in range(len(self._cache) + 1):  # a role may be aggregated into one that is aggregated itself
            roles = [item.object() for item in self._cache.scan()]
            stale = [(role, wanted) for role in roles if (wanted := _rules(role, roles)) is not None]
            if not stale:
                return
            for role, wanted in stale:
                await self._write(role["metadata"]["name"], wanted)

    async def _write(self, name: str, wanted: list[dict[str, Any]]) -> None:
        call = Call(_SELF, resources.get(CLUSTER_ROLES), "", name, manager=_MANAGER)
        try:
            await update.update(self._registry, call, lambda old: {**old, "rules": wanted})
        except errors.ApiError as err:
            if not errors.is_not_found(err):
                raise


def _rules(role: dict[str, Any], roles: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the rules that an aggregated role should have, or None if it has them or is not aggregated."""
    wanted = (role.get("aggregationRule") or {}).get("clusterRoleSelectors")
    if not wanted:
        return None
    parsed = [selectors.from_object(s) for s in wanted]
    found: list[dict[str, Any]] = []
    for other in roles:
        if other["metadata"]["name"] == role["metadata"]["name"]:
            continue
        if any(s.matches(other["metadata"].get("labels") or {}) for s in parsed):
            found += [rule for rule in other.get("rules") or () if rule not in found]
    return None if found == (role.get("rules") or []) else found
