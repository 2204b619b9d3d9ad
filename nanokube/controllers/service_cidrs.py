"""Says which ServiceCIDRs are ready, and keeps one that is deleted until no address would be left without.

Source: pkg/controller/servicecidrs/servicecidrs_controller.go.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any, Never, TypeAlias

from nanokube.api import objects, resources, timestamps
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers.env import Env

CIDRS = resources.get("servicecidrs.networking.k8s.io")
ADDRESSES = resources.get("ipaddresses.networking.k8s.io")
FINALIZER = "networking.k8s.io/service-cidr-finalizer"
MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
ALLOCATOR = "ipallocator.k8s.io"
# So long the servers' allocators may take to hear that a range is going.
GRACE_S = 10.0
READY = {"status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}
IN_USE = {
    "status": "False",
    "reason": "Terminating",
    "message": "There are still IPAddresses referencing the ServiceCIDR,"
    " please remove them or create a new ServiceCIDR",
}

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(found: Object) -> list[Network]:
    """Return the ranges of a ServiceCIDR."""
    return [ipaddress.ip_network(each) for each in objects.spec(found).get("cidrs") or ()]


def may_go(going: Object, others: Iterable[Object], addresses: Iterable[Object]) -> bool:
    """Tell whether every address in a ServiceCIDR is in another one, too. Pure."""
    kept = [network for each in others for network in networks(each)]
    mine = networks(going)
    if mine and all(any(_contains(other, each) for other in kept) for each in mine):
        return True
    for found in addresses:
        address = ipaddress.ip_address(objects.name(found))
        is_served = objects.labels(found).get(MANAGED_BY) == ALLOCATOR
        if is_served and any(address in each for each in mine) and not any(address in each for each in kept):
            return False
    return True


def _contains(outer: Network, inner: Network) -> bool:
    return outer.version == inner.version and inner[0] in outer and inner[-1] in outer


class ServiceCidrsController:
    """Writes the condition Ready and the finalizer. One worker: what may go depends on what stays."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._cidrs = env.informers.of(CIDRS)
        self._addresses = env.informers.of(ADDRESSES)
        self.runner = runner.Runner("service-cidrs", self.reconcile, workers=1)
        self.runner.watches(self._cidrs, self._touching)
        self.runner.watches(self._addresses, self._deleting)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Bring one ServiceCIDR's finalizer and condition up to date."""
        found = self._cidrs.get(key)
        if found is None:
            return None
        if objects.is_deleting(found):
            return await self._let_go(found)
        if FINALIZER not in objects.finalizers(found):
            await self._write_finalizers(found, [*objects.finalizers(found), FINALIZER])
        await self._say(found, READY)
        return None

    async def _let_go(self, found: Object) -> float | None:
        if FINALIZER not in objects.finalizers(found):
            return None
        others = [each for each in self._cidrs.list() if objects.name(each) != objects.name(found)]
        if not may_go(found, others, self._addresses.list()):
            await self._say(found, IN_USE)
            return None
        since = timestamps.parse(objects.metadata(found)["deletionTimestamp"])
        left_s = since + GRACE_S - self._env.clock.time()
        if left_s > 0:
            return left_s
        await self._write_finalizers(found, [f for f in objects.finalizers(found) if f != FINALIZER])
        return None

    async def _write_finalizers(self, found: Object, wanted: Sequence[str]) -> None:
        version = objects.metadata(found).get("resourceVersion")
        body = {"metadata": {"finalizers": list(wanted), "resourceVersion": version}}
        await self._env.client.patch(CIDRS, objects.name(found), body)

    async def _say(self, found: Object, wanted: dict[str, str]) -> None:
        conditions = list(objects.status(found).get("conditions") or ())
        ready: dict[str, Any] = next((each for each in conditions if each["type"] == "Ready"), {})
        if all(ready.get(name, "") == value for name, value in wanted.items()):
            return
        stamp = timestamps.format_time(self._env.clock.time())
        others = [each for each in conditions if each["type"] != "Ready"]
        condition = {"type": "Ready", **wanted, "lastTransitionTime": stamp}
        body = {"status": {"conditions": [*others, condition]}}
        await self._env.client.patch(CIDRS, objects.name(found), body, subresource="status")

    def _touching(self, changed: Object) -> list[str]:
        """A ServiceCIDR that comes or goes may let others go."""
        return [objects.name(changed), *self._deleting(changed)]

    def _deleting(self, _changed: Object) -> list[str]:
        return [objects.name(each) for each in self._cidrs.list() if objects.is_deleting(each)]
