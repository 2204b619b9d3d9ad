"""Gives Services of type LoadBalancer addresses of a configured pool. The plan is pure.

The nodes announce them (nanokube/proxy/announce.py); a condition tells them from other controllers'.
Source: cloud-provider controllers/service/controller.go; KEP-1860 (ipMode), KEP-1959 (loadBalancerClass).
"""

import ipaddress
from collections.abc import Iterable
from typing import Any, Never

from nanokube.api import objects, resources, timestamps
from nanokube.api.objects import Object
from nanokube.client import runner
from nanokube.controllers import address_pool
from nanokube.controllers.env import Env

SERVICES = resources.get("services")
# Who asks for this class asks for us; who asks for none gets what there is, which is us.
CLASS = "nanokube.io/pool"
CONDITION = "nanokube.io/FromPool"
RETRY_S = 60.0
VERSIONS = {"IPv4": 4, "IPv6": 6}


def plan(service: Object, pool: address_pool.Pool, taken: Iterable[str]) -> tuple[list[str], bool]:
    """Choose a Service's addresses; returns them and whether it has all that it asks for.

    It keeps what it has. taken: the addresses of other Services.
    """
    spec = objects.spec(service)
    used = set(taken)
    held = [ipaddress.ip_address(each) for each in addresses(service)]
    asked = spec.get("loadBalancerIP") or ""
    chosen, is_complete = list[str](), True
    for family in spec.get("ipFamilies") or ("IPv4",):
        version = VERSIONS[family]
        if asked and (":" in asked) == (version == 6):
            candidates: Iterable[address_pool.Address] = [ipaddress.ip_address(asked)]
        else:
            candidates = (*(each for each in held if each.version == version), *pool.addresses(version))
        found = next((each for each in candidates if each in pool and str(each) not in used), None)
        if found is not None:
            chosen.append(str(found))
        elif spec.get("ipFamilyPolicy") != "PreferDualStack" or not chosen:
            is_complete = False
    return chosen, is_complete


def addresses(service: Object) -> list[str]:
    """Return the addresses in a Service's status."""
    points = (objects.status(service).get("loadBalancer") or {}).get("ingress") or ()
    return [each["ip"] for each in points if each.get("ip")]


def is_ours(service: Object) -> bool:
    """Tell whether a Service asks for an address of the pool."""
    spec = objects.spec(service)
    return spec.get("type") == "LoadBalancer" and spec.get("loadBalancerClass") in (None, "", CLASS)


def is_marked(service: Object) -> bool:
    """Tell whether a Service's address is from the pool."""
    conditions = objects.status(service).get("conditions") or ()
    return any(each["type"] == CONDITION and each["status"] == "True" for each in conditions)


class ServiceLbController:
    """Writes status.loadBalancer. One worker: two must not choose the same address."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._pool = address_pool.parse(env.options.load_balancer_pool)
        self._services = env.informers.of(SERVICES)
        self._given: dict[str, list[str]] = {}
        self.runner = runner.Runner("service-lb", self.reconcile, workers=1)
        self.runner.watches(self._services)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Give one Service its addresses, or take them back."""
        service = self._services.get(key)
        if service is None or not is_ours(service) or not self._pool.ranges:
            self._given.pop(key, None)
            if service is not None and is_marked(service) and not is_ours(service):
                await self._write(service, [])
            return None
        chosen, is_complete = plan(service, self._pool, self._taken(key))
        self._given[key] = chosen
        if chosen != addresses(service) or (chosen and not is_marked(service)):
            await self._write(service, chosen)
            if chosen:
                message = f"Assigned IP {', '.join(map(repr, chosen))}"
                self._env.events.event(service, "Normal", "IPAllocated", message)
        if is_complete:
            return None
        message = "Error syncing load balancer: no address of the pool is free"
        self._env.events.event(service, "Warning", "SyncLoadBalancerFailed", message)
        return RETRY_S

    def _taken(self, but: str) -> set[str]:
        """All other Services' addresses, and what was given but is not in the cache yet."""
        found = {ip for key, ips in self._given.items() if key != but for ip in ips}
        for service in self._services.list():
            if objects.key(service) != but and objects.spec(service).get("type") == "LoadBalancer":
                found.update(addresses(service))
        return found

    async def _write(self, service: Object, chosen: list[str]) -> None:
        """Name the addresses; a merge patch, so that other controllers' conditions are sent back whole."""
        others = [
            each for each in objects.status(service).get("conditions") or () if each["type"] != CONDITION
        ]
        mark = {
            "type": CONDITION,
            "status": "True",
            "reason": "AddressAssigned",
            "message": "",
            "lastTransitionTime": timestamps.format_time(self._env.clock.time()),
        }
        status: dict[str, Any] = {
            "loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"} for ip in chosen] or None},
            "conditions": [*others, *([mark] if chosen else [])] or None,
        }
        name, namespace = objects.name(service), objects.namespace(service)
        await self._env.client.patch(SERVICES, name, {"status": status}, namespace, subresource="status")
