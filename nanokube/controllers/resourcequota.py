"""Counts what each ResourceQuota governs and writes it into its status.

The API server books what is created; here what was deleted, ended or changed otherwise is counted anew.
Source: pkg/controller/resourcequota/resource_quota_controller.go.
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Never

from nanokube.api import objects, resized, resources, usage
from nanokube.api.objects import Object
from nanokube.api.resources import Resource
from nanokube.client import discovery, informer, runner
from nanokube.controllers import pods
from nanokube.controllers.env import Env

QUOTAS = resources.get("resourcequotas")
# kinds that other controllers follow whole as well
WATCHED = tuple(resources.get(name) for name in ("pods", "services", "persistentvolumeclaims"))
LISTED_EVERY_S = 5.0  # other kinds are listed, and only while a quota counts them
RECOUNT_EVERY_S = 60.0  # a booking whose write failed is found by then
# What the server has booked is written some moments later, and seen here later still: until then it counts.
BOOKED_S = 0.5


def counted(hard: Object, custom: Mapping[str, Resource] = MappingProxyType({})) -> list[Resource]:
    """List the resources whose objects the names of a quota count. Pure.

    custom: what is not built in, by group-resource.
    """
    found = {}
    for name in hard:
        if name.startswith("count/"):
            known = name.removeprefix("count/")
        elif name.startswith("services"):
            known = "services"
        elif ".storageclass." in name or name == "requests.storage":
            known = "persistentvolumeclaims"
        elif ".deviceclass." in name:
            known = "resourceclaims.resource.k8s.io"
        else:
            known = name
        if name in custom_counts((name,)) and known not in custom:
            continue
        try:
            resource = custom.get(known) or resources.get(known)
        except KeyError:
            resource = resources.get("pods")  # cpu, requests.memory, limits.nvidia.com/gpu, …
        if resource.namespaced and resource.is_stored:
            found[resource.name] = resource
    return list(found.values())


def custom_counts(names: Iterable[str]) -> list[str]:
    """List the names of a quota that count objects of kinds that are not built in. Pure."""
    found = []
    for name in names:
        try:
            resources.get(name.removeprefix("count/"))
        except KeyError:
            if name.startswith("count/"):
                found.append(name)
    return found


def _unsettled(quota: Object) -> list[str]:
    """A quota whose status lacks what its spec says; its bookings are no reason to count."""
    hard = objects.spec(quota).get("hard") or {}
    return [objects.key(quota)] if (objects.status(quota).get("hard") or {}) != hard else []


def _matters(old: Object, new: Object) -> bool:
    """Whether an object may count for less; that a Pod was given its node frees nothing."""
    return any(
        {**spec(old), "nodeName": ""} != {**spec(new), "nodeName": ""}
        for spec in (objects.spec, resized.spec)
    ) or pods.is_terminal(old) != pods.is_terminal(new)


class ResourceQuotaController:
    """Recounts a quota when it changes, when what it counts does, and now and then."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._quotas = env.informers.of(QUOTAS)
        self._watched = {resource.name: env.informers.of(resource) for resource in WATCHED}
        self.runner = runner.Runner("resourcequota", self.reconcile)
        self._booked: dict[str, float] = {}  # when each quota's use changed last
        self.runner.watches(self._quotas, _unsettled)
        self._quotas.subscribe(self._note)
        for source in self._watched.values():
            self.runner.reads(source)
            source.subscribe(self._follow)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    def _note(self, change: informer.Change, old: Object | None, new: Object) -> None:
        """Remember when a quota's use changed."""
        key = objects.key(new)
        if change == "DELETED":
            self._booked.pop(key, None)
        elif old is not None and objects.status(old).get("used") != objects.status(new).get("used"):
            self._booked[key] = self._env.clock.monotonic()

    def _follow(self, change: informer.Change, old: Object | None, new: Object) -> None:
        """Recount when something may have become free; what is new, the server has booked already."""
        if change == "DELETED" or (old is not None and _matters(old, new)):
            for key in self._quotas_of(new):
                self.runner.queue.add(key)

    def _quotas_of(self, obj: Object) -> list[str]:
        namespace = objects.namespace(obj)
        return [objects.key(q) for q in self._quotas.list() if objects.namespace(q) == namespace]

    async def reconcile(self, key: str) -> float | None:
        """Recount one quota."""
        quota = self._quotas.get(key)
        if quota is None:
            return None
        hard = objects.spec(quota).get("hard") or {}
        kinds = counted(hard, await self._discovered() if custom_counts(hard) else {})
        found: list[tuple[Resource, Any]] = []
        for resource in kinds:
            found += ((resource, obj) for obj in await self._objects(resource, objects.namespace(quota)))
        counts = usage.total(quota, found)
        left_s = self._booked.get(key, -math.inf) + BOOKED_S - self._env.clock.monotonic()
        booked = usage.parse(objects.status(quota).get("used")) if left_s > 0 else {}
        amounts = {name: max(count, booked.get(name, count)) for name, count in counts.items()}
        used = {name: str(amount) for name, amount in sorted(amounts.items())}
        status = {"hard": dict(hard), "used": used}
        if objects.status(quota) != status:
            await self._env.client.update(QUOTAS, {**quota, "status": status}, subresource="status")
        if amounts != counts:
            return left_s
        is_listed = bool(custom_counts(hard)) or any(r.name not in self._watched for r in kinds)
        return LISTED_EVERY_S if is_listed else RECOUNT_EVERY_S

    async def _discovered(self) -> dict[str, Resource]:
        return {resource.name: resource for resource in await discovery.resources_of(self._env.client)}

    async def _objects(self, resource: Resource, namespace: str) -> list[dict[str, Any]]:
        source = self._watched.get(resource.name)
        if source is None:
            return list((await self._env.client.list(resource, namespace)).items)
        return [obj for obj in source.list() if objects.namespace(obj) == namespace]
