"""The node's part of the Pod network: follows Nodes, keeps routes and overlay equal to what they say."""

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Sequence
from typing import Any, Never, Protocol

from pyroute2.netlink.exceptions import NetlinkError

from cri.linux import nftables
from nanokube.client import informer
from nanokube.podnet import kernel, plan

log = logging.getLogger(__name__)

# Links, addresses and routers change without a word to us: look again this often.
CHECK_S = 30.0
RETRY_S = 2.0


class Applier(Protocol):
    """The kernel, or what stands for it in a test."""

    def link_to(self, address: plan.Address, /) -> plan.Link | None: ...

    def apply(self, wanted: plan.Plan, /) -> None: ...


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
        self._wake = asyncio.Event()

    async def run(self) -> Never:
        """Follow changes until cancelled."""
        await informer.wait_synced(self._nodes)
        self._nodes.subscribe(self._on_node)
        while True:
            self._wake.clear()
            wait_s = CHECK_S
            try:
                await self.apply()
            except (OSError, NetlinkError, nftables.NftablesError) as err:
                log.warning("pod network not applied error=%s", err)
                wait_s = RETRY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

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
            self._wake.set()

    def _read(self) -> tuple[plan.Peer, ...]:
        found = (plan.peer(each, self._cluster) for each in self._nodes.list())
        return tuple(sorted(found, key=lambda each: each.name))


async def run(
    nodes: informer.Informer, node_name: str, cluster: Sequence[str], set_sysctl: kernel.SetSysctl
) -> Never:
    """Run the Pod network of one node. cluster: all Pods' ranges. The caller runs the informer."""
    networks = [ipaddress.ip_network(each) for each in cluster]
    await PodNetwork(nodes, node_name, networks, kernel.Kernel(networks, set_sysctl)).run()
