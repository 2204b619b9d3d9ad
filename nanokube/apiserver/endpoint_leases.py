"""Which API servers live: each renews a key of its own, and all write who is there to Service kubernetes.

The keys stand outside the API's objects. One that is not renewed goes after TTL_S, by the store: then the
servers that are left take its address away. In a store that servers share each leaves a second key, which
stays: what is written by new keys of encryption must be readable by servers that are off, too.
Source: pkg/controlplane/reconcilers/lease.go.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Never

from nanokube.api.errors import ApiError
from nanokube.apiserver import bootstrap
from nanokube.apiserver.config import ApiServerConfig
from nanokube.apiserver.registry.registry import Registry
from nanokube.kit.clock import Clock
from nanokube.storage.store import NotFound, StoreError, prefix_end

log = logging.getLogger(__name__)

PREFIX: Final = "/masterleases/"
KNOWN: Final = "/servers/"  # of all that ever were, until they are reset
TTL_S: Final = 15.0  # DefaultEndpointReconcilerTTL and its interval, pkg/controlplane/instance.go
RENEW_S: Final = 10.0
LEAVE_TIMEOUT_S: Final = 2.0


class EndpointLeases:
    """This server's key, and what all keys together mean."""

    def __init__(self, registry: Registry, config: ApiServerConfig, clock: Clock) -> None:
        self._registry = registry
        self._config = config
        self._clock = clock
        self._is_known = False

    async def run(self) -> Never:
        """Renew until cancelled."""
        while True:
            try:
                await self.renew()
            except (StoreError, ApiError) as err:
                log.warning("endpoint of this server not renewed: error=%s", err)
            await asyncio.sleep(RENEW_S)

    async def renew(self) -> None:
        """Say that this server lives, and write who does. Raises StoreError, ApiError."""
        store = self._registry.store
        await store.put(self._key, b"{}", expires=self._clock.time() + TTL_S)
        if store.is_shared and not self._is_known:
            await store.put(KNOWN + self._config.advertise_address, b"{}")
            self._is_known = True
        await self._publish()

    async def leave(self) -> None:
        """Take this server's address away: it is about to end. Never raises."""
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await self._registry.store.delete(self._key)
                await self._publish()
        except NotFound:
            return
        except (TimeoutError, StoreError, ApiError) as err:
            log.warning("endpoint of this server not taken away: error=%s", err)

    @property
    def _key(self) -> str:
        return PREFIX + self._config.advertise_address

    async def _publish(self) -> None:
        found = await self._registry.store.range(PREFIX, prefix_end(PREFIX))
        addresses = sorted(entry.key.removeprefix(PREFIX) for entry in found.entries)
        if addresses:  # nobody is left only while the cluster ends: what was true stays written
            await bootstrap.publish_endpoints(self._registry, self._config, addresses)
