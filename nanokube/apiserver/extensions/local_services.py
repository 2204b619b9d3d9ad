"""APIServices of what this server serves itself: made, and removed with the definitions they stand for.

Source: staging kube-aggregator pkg/controllers/autoregister, pkg/controlplane/controller/crdregistration,
cmd/kube-apiserver/app/aggregator.go (priorities).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Never

from nanokube.api import discovery, errors, objects, resource_metrics, resources
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.cache.cache import DELETED, Change
from nanokube.apiserver.registry import create, delete
from nanokube.apiserver.registry.call import Call, DeleteOptions
from nanokube.apiserver.registry.registry import Registry

log = logging.getLogger(__name__)

NAME: Final = "apiservices.apiregistration.k8s.io"
_LABEL: Final = "kube-aggregator.kubernetes.io/automanaged"
_BUILT_IN: Final = "onstart"
_CUSTOM: Final = "true"
RETRY_S: Final = 1.0
_FIRST_GROUP: Final = 18_000  # of core; the others follow in the order of discovery
_CUSTOM_GROUP, _CUSTOM_VERSION = 1000, 100


class LocalServices:
    """Follows the table of kinds."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._changed = asyncio.Event()
        registry.kinds.listeners.append(self._changed.set)

    def offer(self, change: Change) -> None:
        """An APIService changed: one that is gone may be missing, or have hidden what is served here."""
        if change.type == DELETED:
            self._changed.set()

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    async def run(self) -> Never:
        """Make and remove APIServices, for ever."""
        self._registry.caches.of(NAME).attach(self)
        while True:
            self._changed.clear()
            try:
                await self.settle()
            except errors.ApiError as err:
                log.warning("api services not registered: error=%s", err.message)
                await asyncio.sleep(RETRY_S)
                continue
            await self._changed.wait()

    async def settle(self) -> None:
        """Make what is missing and remove what is no longer served. Raises ApiError."""
        wanted = {objects.name(each): each for each in self._wanted()}
        cache = self._registry.caches.of(NAME)
        for item in list(cache.scan()):
            if item.name not in wanted and item.labels().get(_LABEL) == _CUSTOM:
                await delete.delete(self._registry, self._call(item.name), DeleteOptions())
        for name, each in wanted.items():
            if cache.find(name) is None:
                await create.create(self._registry, self._call(name), each)

    def _call(self, name: str) -> Call:
        return Call(OWN, resources.get(NAME), "", name, manager="kube-apiserver")

    def _wanted(self) -> list[dict[str, Any]]:
        found = []
        built_in = discovery.group_versions()
        for n, (group, versions) in enumerate(built_in.items()):
            for m, version in enumerate(reversed(versions)):
                priorities = (_FIRST_GROUP - 100 * n, 15 * (m + 1))
                found.append(_service(group, version, priorities, _BUILT_IN))
        for group, versions in discovery.group_versions(self._registry.kinds.all()).items():
            for version in versions:
                if version not in built_in.get(group, ()) and group != resource_metrics.GROUP:
                    found.append(_service(group, version, (_CUSTOM_GROUP, _CUSTOM_VERSION), _CUSTOM))
        return found


def _service(group: str, version: str, priorities: tuple[int, int], managed: str) -> dict[str, Any]:
    resource = resources.get(NAME)
    spec: Mapping[str, Any] = {
        "group": group,
        "version": version,
        "groupPriorityMinimum": priorities[0],
        "versionPriority": priorities[1],
    }
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": f"{version}.{group}", "labels": {_LABEL: managed}},
        "spec": {key: value for key, value in spec.items() if value != ""},
    }
