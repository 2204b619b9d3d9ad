"""IPAddress objects that show which Service has which cluster IP; the allocators decide, these follow.

Upstream allocates by creating them. Here the allocators' memory is the truth (and claims.py, where servers
share a store); the objects, written just after, are what clients and tools look at.
Source: pkg/registry/core/service/ipallocator/ipallocator.go, pkg/controlplane/controller/defaultservicecidr.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Mapping
from typing import Any, Final, Never

from nanokube.api import errors, objects, resources
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.cache.cache import DELETED, Change
from nanokube.apiserver.registry import create, delete
from nanokube.apiserver.registry.call import Call, DeleteOptions
from nanokube.apiserver.registry.registry import Registry

log = logging.getLogger(__name__)

RESOURCE: Final = "ipaddresses.networking.k8s.io"
_OURS: Final = {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}


class Addresses:
    """Follows the Services."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._changed = asyncio.Event()
        self._pending: dict[str, Mapping[str, Any] | None] = {}  # address -> its Service, None if free

    def offer(self, change: Change) -> None:
        """A Service changed."""
        before = _ips(change.previous.object()) if change.previous else []
        service = change.item.object()
        after = [] if change.type == DELETED else _ips(service)
        if before != after:
            self._pending |= dict.fromkeys(set(before) - set(after)) | dict.fromkeys(after, service)
            self._changed.set()

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    async def run(self) -> Never:
        """Catch up with what is stored, then follow changes, for ever."""
        services = self._registry.caches.of("services")
        services.attach(self)
        owned = self._registry.caches.of(RESOURCE).scan()
        self._pending |= dict.fromkeys(i.name for i in owned if _OURS.items() <= i.labels().items())
        for item in services.scan():
            service = item.object()
            self._pending |= dict.fromkeys(_ips(service), service)
        while True:
            await self.settle()
            self._changed.clear()
            if not self._pending:
                await self._changed.wait()

    async def settle(self) -> None:
        """Write what is pending."""
        while self._pending:
            address, service = self._pending.popitem()
            try:
                await self._write(address, service)
            except errors.ApiError as err:
                if self._registry.store.is_shared and (
                    errors.is_already_exists(err) or errors.is_not_found(err)
                ):
                    continue  # another server follows the Services, too
                log.warning("cannot record service address %s: %s", address, err.message)

    async def _write(self, address: str, service: Mapping[str, Any] | None) -> None:
        resource = resources.get(RESOURCE)
        call = Call(OWN, resource, "", address, manager="kube-apiserver")
        live = self._registry.find(RESOURCE, address)
        wanted = None if service is None else _parent(service)
        if live is not None and objects.spec(live).get("parentRef") == wanted:
            return
        if live is not None:
            await delete.delete(self._registry, call, DeleteOptions())
        if wanted is not None:
            family = {"ipaddress.kubernetes.io/ip-family": f"IPv{ipaddress.ip_address(address).version}"}
            metadata = {"name": address, "labels": family | _OURS}
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}
            await create.create(
                self._registry, call, {**kind, "metadata": metadata, "spec": {"parentRef": wanted}}
            )


def _ips(service: Mapping[str, Any]) -> list[str]:
    found = objects.spec(service).get("clusterIPs") or ()
    return [str(ipaddress.ip_address(ip)) for ip in found if ip and ip != "None"]


def _parent(service: Mapping[str, Any]) -> dict[str, str]:
    return {
        "resource": "services",
        "namespace": objects.namespace(service),
        "name": objects.name(service),
    }
