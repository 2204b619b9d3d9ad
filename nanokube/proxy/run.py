"""The service proxy: follows Services and EndpointSlices, writes the elements that changed.

At start the whole table is written in one transaction; established connections live on in conntrack.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Never

from cri.linux import nftables
from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.client import informer
from nanokube.proxy import forwards, ruleset, table

log = logging.getLogger(__name__)

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
SERVICE_INDEX = "service"
# A Service that another proxy implements (Cilium's, a mesh's) says so by this label.
PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"


def index_of_slice(endpoint_slice: Object) -> list[str]:
    """Return the key of the Service that an EndpointSlice belongs to, for an informer's index."""
    name = endpoint_slice["metadata"].get("labels", {}).get(SERVICE_NAME_LABEL)
    return [f"{endpoint_slice['metadata']['namespace']}/{name}"] if name else []


class Proxy:
    """Keeps the nftables table equal to what Services and EndpointSlices say."""

    def __init__(
        self,
        services: informer.Informer,
        slices: informer.Informer,
        node_name: str,
        *,
        local_addresses: Iterable[str] = (),
        nft: "Callable[[str], str] | None" = None,
    ) -> None:
        """services and slices are run by the caller; slices has the index SERVICE_INDEX (index_of_slice).

        local_addresses: ClusterIPs that this node itself answers (the cluster's DNS): left alone.
        nft: runs nft commands as one transaction (tests); default: libnftables.
        """
        self._services = services
        self._slices = slices
        self._node_name = node_name
        self._local_addresses = frozenset(local_addresses)
        self._run_nft = nft or nftables.Nftables().run
        self._table = table.Table()
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()

    async def run(self) -> Never:
        """Follow changes until cancelled."""
        await informer.wait_synced(self._services, self._slices)
        self._services.subscribe(self._on_service)
        self._slices.subscribe(self._on_slice)
        for key in self._take_dirty():
            self._table.replace(key, self._elements_of(key))
        await self._rebuild()
        log.info("proxy synced services=%d", len(self._table.owners()))
        while True:
            await self._wake.wait()
            await self._apply(self._take_dirty())

    def _on_service(self, _change: str, _old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        self._mark(objects.key(new))

    def _on_slice(self, _change: str, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        for each in (old, new):
            if each is not None:
                for key in index_of_slice(each):
                    self._mark(key)

    def _mark(self, key: str) -> None:
        self._dirty.add(key)
        self._wake.set()

    def _take_dirty(self) -> set[str]:
        dirty, self._dirty = self._dirty, set()
        self._wake.clear()
        return dirty

    async def _apply(self, keys: Iterable[str]) -> None:
        commands = [text for key in keys if (text := self._table.replace(key, self._elements_of(key)))]
        if not commands:
            return
        try:
            await asyncio.to_thread(self._run_nft, "\n".join(commands))
        except nftables.NftablesError as err:
            # Somebody changed the table under us (nft flush ruleset, a firewall's reload).
            log.warning("rewriting the table cause=%s", str(err).splitlines()[0])
            await self._rebuild()

    async def _rebuild(self) -> None:
        await asyncio.to_thread(self._run_nft, self._table.everything())

    def _elements_of(self, key: str) -> dict[tuple[str, str], str]:
        service = self._services.get(key)
        if service is None or PROXY_NAME_LABEL in service["metadata"].get("labels", {}):
            return {}
        if service["spec"].get("clusterIP") in self._local_addresses:
            return {}
        slices = self._slices.by_index(SERVICE_INDEX, key)
        return ruleset.elements(forwards.of_service(service, slices, self._node_name))


async def run(
    services: informer.Informer,
    slices: informer.Informer,
    node_name: str,
    local_addresses: Iterable[str] = (),
) -> Never:
    """Run the proxy of one node. The caller runs the informers."""
    await Proxy(services, slices, node_name, local_addresses=local_addresses).run()
