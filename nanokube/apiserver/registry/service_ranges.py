"""Tells the allocators of ServiceCIDR objects: which ranges there are, and which may give addresses.

One gives from when a controller found it Ready until somebody deletes it. The configured ranges, those of
ServiceCIDR kubernetes, are ready before.
Source: pkg/registry/core/service/ipallocator/cidrallocator.go, syncAllocators.
"""

from __future__ import annotations

from typing import Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.apiserver.cache.cache import DELETED, Change
from nanokube.apiserver.cache.caches import Caches
from nanokube.apiserver.registry.address_pools import AddressPools

RESOURCE: Final = "servicecidrs.networking.k8s.io"


class ServiceRanges:
    """Follows the ServiceCIDRs."""

    def __init__(self, caches: Caches, pools: AddressPools) -> None:
        self._pools = pools
        caches.of(RESOURCE).attach(self)
        for item in caches.of(RESOURCE).scan():
            self._follow(item.object())

    def offer(self, change: Change) -> None:
        """A ServiceCIDR changed."""
        if change.type == DELETED:
            self._pools.drop(change.item.name)
        else:
            self._follow(change.item.object())

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    def _follow(self, found: Object) -> None:
        cidrs = [str(each) for each in objects.spec(found).get("cidrs") or ()]
        is_configured = set(cidrs) <= set(self._pools.configured)
        is_ready = is_configured or objects.is_condition_true(found, "Ready")
        is_going = bool(objects.metadata(found).get("deletionTimestamp"))
        self._pools.set_ranges(objects.name(found), cidrs, is_ready=is_ready and not is_going)
