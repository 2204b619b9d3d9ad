"""The service proxy: follows Services and EndpointSlices, writes the elements that changed.

At start the whole table is written in one transaction; established connections live on in conntrack.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Never

from pyroute2.netlink.exceptions import NetlinkError

from cri.linux import nftables
from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.client import informer
from nanokube.kit import backoff, tasks
from nanokube.proxy import conntrack, forwards, health, healthz, ruleset, table

log = logging.getLogger(__name__)

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
SERVICE_INDEX = "service"
# A Service that another proxy implements (Cilium's, a mesh's) says so by this label.
PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
# What says so by this label is for names alone, whatever address its Service has.
HEADLESS_LABEL = "service.kubernetes.io/headless"
ZONE_LABEL = "topology.kubernetes.io/zone"


@dataclasses.dataclass(frozen=True, slots=True)
class Ranges:
    """The cluster's ranges: Pods of all nodes, Services."""

    pods: Sequence[str] = ()
    services: Sequence[str] = ()


def index_of_slice(endpoint_slice: Object) -> list[str]:
    """Return the key of the Service that an EndpointSlice belongs to, for an informer's index."""
    name = (endpoint_slice["metadata"].get("labels") or {}).get(SERVICE_NAME_LABEL)
    return [f"{endpoint_slice['metadata']['namespace']}/{name}"] if name else []


def is_for_proxies(obj: Object) -> bool:
    """Tell whether a Service or EndpointSlice concerns the node's proxy.

    Source: cmd/kube-proxy/app/server.go (the selector of its informers).
    """
    labels = obj["metadata"].get("labels") or {}
    return PROXY_NAME_LABEL not in labels and HEADLESS_LABEL not in labels


class Proxy:
    """Keeps the nftables table equal to what Services and EndpointSlices say."""

    def __init__(
        self,
        services: informer.Informer,
        slices: informer.Informer,
        node_name: str,
        *,
        nodes: informer.Informer | None = None,
        local_addresses: Iterable[str] = (),
        ranges: Ranges = Ranges(),
        nft: "Callable[[str], str] | None" = None,
        flush: Callable[[Iterable[conntrack.Stale]], int] = conntrack.flush,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """All informers are run by the caller; slices has the index SERVICE_INDEX (index_of_slice).

        nodes: tells this node's zone. local_addresses: ClusterIPs that this node itself answers (the
        cluster's DNS): left alone. nft: runs nft commands as one transaction (tests); default: libnftables.
        flush: forgets stale UDP flows. settle: called once the table is there.
        """
        self._services = services
        self._slices = slices
        self._nodes = nodes
        self._here = forwards.Here(node_name)
        self._local_addresses = frozenset(local_addresses)
        self._run_nft = nft or nftables.Nftables().run
        self._flush = flush
        self._settle = settle
        self._table = table.Table(ranges.pods, ranges.services)
        self._wanted: dict[str, forwards.Forwards] = {}
        self._checks = health.Checks()
        self._checked: dict[str, tuple[int, int]] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self.progress = healthz.Progress()

    async def run(self) -> Never:
        """Follow changes until cancelled."""
        sources = [each for each in (self._services, self._slices, self._nodes) if each is not None]
        await informer.wait_synced(*sources)
        if self._nodes is not None:
            self._nodes.subscribe(self._on_node)
        self._services.subscribe(self._on_service)
        self._slices.subscribe(self._on_slice)
        try:
            keys = self._take_dirty()
            for key in keys:
                self._table.replace(key, ruleset.elements(self._update(key)))
            await self._rebuild()
            self.progress.applied()
            self._settle()
            await self._checks.replace(self._checked)
            log.info("proxy synced services=%d", len(self._table.owners()))
            while True:
                await self._wake.wait()
                await self._apply(self._take_dirty())
        finally:
            self._checks.close()

    def _on_node(self, _change: str, _old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        zone = (new["metadata"].get("labels") or {}).get(ZONE_LABEL, "")
        if new["metadata"]["name"] == self._here.name and zone != self._here.zone:
            self._here = forwards.Here(self._here.name, zone)
            for service in self._services.list():
                self._mark(objects.key(service))

    def _on_service(self, _change: str, _old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        self._mark(objects.key(new))

    def _on_slice(self, _change: str, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        for each in (old, new):
            if each is not None:
                for key in index_of_slice(each):
                    self._mark(key)

    def _mark(self, key: str) -> None:
        self._dirty.add(key)
        self.progress.queued()
        self._wake.set()

    def _take_dirty(self) -> set[str]:
        dirty, self._dirty = self._dirty, set()
        self._wake.clear()
        return dirty

    async def _apply(self, keys: Iterable[str]) -> None:
        """Write what changed of these Services in one transaction, then what hangs on it."""
        commands: list[str] = []
        stale: list[conntrack.Stale] = []
        checked = dict(self._checked)
        for key in keys:
            before = self._wanted.get(key, forwards.NOTHING)
            after = self._update(key)
            if before != after:
                commands.append(self._table.replace(key, ruleset.elements(after)))
                if conntrack.needs_flush(before, after):
                    stale.append(conntrack.stale(before, after))
        await self._write([each for each in commands if each])
        if not self._dirty:
            self.progress.applied()
        if stale:
            await self._forget(stale)
        if checked != self._checked:
            await self._checks.replace(self._checked)

    async def _write(self, commands: Sequence[str]) -> None:
        if not commands:
            return
        try:
            await asyncio.to_thread(self._run_nft, "\n".join(commands))
        except nftables.NftablesError as err:
            # Somebody changed the table under us (nft flush ruleset, a firewall's reload).
            log.warning("rewriting the table cause=%s", str(err).splitlines()[0])
            await self._rebuild()

    async def _forget(self, stale: Sequence[conntrack.Stale]) -> None:
        """Only now that the table leads elsewhere: a flow forgotten earlier would find its old way again."""
        try:
            count = await asyncio.to_thread(self._flush, stale)
            log.debug("forgot udp flows count=%d", count)
        except (OSError, NetlinkError) as err:
            log.warning("udp flows not forgotten error=%s", err)

    async def _rebuild(self) -> None:
        """Write the whole table until it is taken: what refuses it must not end the kubelet beside it."""
        delays = backoff.Backoff()
        while True:
            try:
                await asyncio.to_thread(self._run_nft, self._table.everything())
                return
            except nftables.NftablesError as err:
                log.warning("table not written error=%s", str(err).partition("\n")[0])
            await asyncio.sleep(delays.next())

    def _update(self, key: str) -> forwards.Forwards:
        """Take in what a Service and its slices say now; returns what follows."""
        service = self._services.get(key)
        self._checked.pop(key, None)
        if service is None or not self._is_ours(service):
            self._wanted.pop(key, None)
            return forwards.NOTHING
        slices = [each for each in self._slices.by_index(SERVICE_INDEX, key) if is_for_proxies(each)]
        port = service["spec"].get("healthCheckNodePort") or 0
        if port:
            self._checked[key] = (port, forwards.local_endpoints(service, slices, self._here))
        self._wanted[key] = forwards.of_service(service, slices, self._here)
        return self._wanted[key]

    def _is_ours(self, service: Object) -> bool:
        if not is_for_proxies(service):
            return False
        return service["spec"].get("clusterIP") not in self._local_addresses


async def run(
    services: informer.Informer,
    slices: informer.Informer,
    node_name: str,
    local_addresses: Iterable[str] = (),
    *,
    nodes: informer.Informer | None = None,
    ranges: Ranges = Ranges(),
    settle: Callable[[], None] = lambda: None,
) -> Never:
    """Run the proxy of one node. The caller runs the informers. settle: as of Proxy."""
    proxy = Proxy(
        services,
        slices,
        node_name,
        nodes=nodes,
        local_addresses=local_addresses,
        ranges=ranges,
        settle=settle,
    )
    own = healthz.Healthz(proxy.progress, lambda: nodes.get(node_name) if nodes is not None else None)
    await tasks.all_of(proxy.run(), own.run())
    raise AssertionError("both run until they are cancelled")
