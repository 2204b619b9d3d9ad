"""The node's part of the Pod network: follows Nodes, keeps routes and overlay equal to what they say."""

import asyncio
import ipaddress
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never, Protocol

from pyroute2.netlink.exceptions import NetlinkError

from cri.linux import nftables
from nanokube.client import informer
from nanokube.kit import links
from nanokube.podnet import kernel, plan, sizes

log = logging.getLogger(__name__)

# Links, addresses and routers change without a word to us: look again this often.
CHECK_S = 30.0
RETRY_S = 2.0
SETTLE_S = 0.05  # many Pods at once cost one look at all links


class Applier(Protocol):
    """The kernel, or what stands for it in a test."""

    def link_to(self, address: plan.Address, /) -> plan.Link | None: ...

    def apply(self, wanted: plan.Plan, /) -> None: ...

    def fit(self) -> links.Sizes: ...


class PodNetwork:
    """Keeps the way to the Pods of all nodes."""

    def __init__(
        self, nodes: informer.Informer, node_name: str, cluster: Sequence[plan.Network], applier: Applier
    ) -> None:
        """nodes is run by the caller; its objects may be trimmed (plan.trim)."""
        self._nodes = nodes
        self._node_name = node_name
        self._cluster = cluster
        self._applier = applier
        self._peers: tuple[plan.Peer, ...] | None = None
        self._shown: plan.Plan | None = None
        self._links: dict[int, links.Link] = {}
        self._sizes = links.DEFAULT
        self._is_stale = True
        self._wake = asyncio.Event()

    async def run(self) -> Never:
        """Follow changes until cancelled."""
        await informer.wait_synced(self._nodes)
        self._nodes.subscribe(self._on_node)
        while True:
            self._wake.clear()
            wait_s = CHECK_S
            try:
                if self._is_stale:
                    self._is_stale = False
                    await self.apply()
                self._sizes = await asyncio.to_thread(self._applier.fit)
            except (OSError, NetlinkError, nftables.NftablesError) as err:
                log.warning("pod network not applied error=%s", err)
                self._is_stale = True
                wait_s = RETRY_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
                if not self._is_stale:
                    await asyncio.sleep(SETTLE_S)
            except TimeoutError:
                self._is_stale = True

    async def apply(self) -> None:
        """Bring the kernel to what the Nodes say now."""
        peers = self._read()
        self._peers = peers
        own = next((each for each in peers if each.name == self._node_name), None)
        if own is None:
            return  # not registered yet; its event wakes us
        wanted = await asyncio.to_thread(self._apply, own, peers)
        if wanted != self._shown:
            log.info(
                "pod network applied direct=%d tunnelled=%d unreachable=%s",
                len(wanted.direct),
                len(wanted.tunnelled),
                ",".join(wanted.unreachable) or "none",
            )
            self._shown = wanted

    def _apply(self, own: plan.Peer, peers: Sequence[plan.Peer]) -> plan.Plan:
        wanted = plan.make(own, peers, self._applier.link_to)
        self._applier.apply(wanted)
        return wanted

    def _on_node(self, _change: str, _old: dict[str, Any] | None, _new: dict[str, Any]) -> None:
        if self._read() != self._peers:  # most changes of Nodes are heartbeats
            self._is_stale = True
            self._wake.set()

    def on_links(self, changed: Sequence[links.Link | None]) -> None:
        """Take what the kernel tells of links; None: not all was heard.

        A Pod's new link gets its limits at once. Other links may be ways, of which the carrier counts, too.
        Of a changed limit the kernel tells nobody (net/core/rtnetlink.c, do_setlink): CHECK_S finds it.
        """
        for link in changed:
            if link is not None and sizes.is_of_pod(link):
                is_due = link.is_up and link.sizes != link.fitted(self._sizes)
            else:
                is_due = self._is_stale = link is None or self._is_new(link) or self._is_stale
            if is_due:
                self._wake.set()

    def _is_new(self, link: links.Link) -> bool:
        """Remember a link that is up, forget one that is not; tell whether that changed anything."""
        known = self._links.pop(link.index, None)
        if link.is_up:
            self._links[link.index] = link
        return known != (link if link.is_up else None)

    def _read(self) -> tuple[plan.Peer, ...]:
        found = (plan.peer(each, self._cluster) for each in self._nodes.list())
        return tuple(sorted(found, key=lambda each: each.name))


async def run(
    nodes: informer.Informer,
    node_name: str,
    cluster: Sequence[str],
    set_sysctl: kernel.SetSysctl,
    pins: Path | None = None,
) -> Never:
    """Run the Pod network of one node. cluster: all Pods' ranges. The caller runs the informer.

    pins: where the namespaces of the node's Pods are; without it their links keep the kernel's limits.
    """
    networks = [ipaddress.ip_network(each) for each in cluster]
    network = PodNetwork(nodes, node_name, networks, kernel.Kernel(networks, set_sysctl, pins))
    with links.Events() as events:
        loop = asyncio.get_running_loop()
        loop.add_reader(events.fileno(), lambda: network.on_links(events.read()))
        try:
            await network.run()
        finally:
            loop.remove_reader(events.fileno())
