"""Keeps the kernel answering for the balanced addresses that this node announces (announce.py)."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Never

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nanokube.api import objects
from nanokube.client import informer
from nanokube.proxy import announce
from nanokube.proxy.announce import Address

log = logging.getLogger(__name__)

# What is ours is known by this: routes' protocol number, unassigned in /etc/iproute2/rt_protos.
PROTOCOL = 108
_NTF_PROXY = 0x08  # include/uapi/linux/neighbour.h
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# Neighbours may miss an announcement, switches forget: said again as often as their caches live.
REPEAT_S = 30.0
SETTLE_S = 0.05  # changes come in groups

SetSysctl = Callable[[str, str], None]


class Announcer:
    """Follows Services, slices and Nodes; announces what is this node's to announce."""

    def __init__(
        self,
        services: informer.Informer,
        slices: informer.Informer,
        nodes: informer.Informer,
        node_name: str,
        links: "Links",
        slice_index: str,
    ) -> None:
        """The informers are run by the caller; slices has the index slice_index, by key of Service."""
        self._services, self._slices, self._nodes = services, slices, nodes
        self._node_name = node_name
        self._links = links
        self._slice_index = slice_index
        self._shown: frozenset[str] = frozenset()
        self._networks: tuple[announce.Network, ...] = ()
        self._wake = asyncio.Event()

    async def run(self) -> Never:
        """Announce until cancelled. What is there of an earlier run and still right goes on without a gap."""
        await informer.wait_synced(self._services, self._slices, self._nodes)
        for each in (self._services, self._slices, self._nodes):
            each.subscribe(lambda _change, _old, _new: self._wake.set())
        while True:
            self._wake.clear()
            wanted = self._shown
            try:
                self._networks = await asyncio.to_thread(self._links.networks)
                wanted = self._wanted()
                await asyncio.to_thread(self._links.apply, wanted)
            except (OSError, NetlinkError) as err:
                log.warning("addresses not announced error=%s", err)
            if wanted != self._shown:
                log.info("announcing addresses=%s", ",".join(sorted(wanted)) or "none")
                self._shown = wanted
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPEAT_S):
                    await self._changed()

    async def _changed(self) -> None:
        """Wait for an event that changes what is to be announced."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(SETTLE_S)
            self._wake.clear()
            if self._wanted() != self._shown:
                return

    def _wanted(self) -> frozenset[str]:
        services = [each for each in self._services.list() if announce.is_from_pool(each)]
        if not services:
            return frozenset()
        slices = {
            key: list(self._slices.by_index(self._slice_index, key)) for key in map(objects.key, services)
        }
        nodes = self._nodes.list()
        return announce.announced_here(services, slices, nodes, self._node_name, self._networks)


class Links:
    """Routes and proxy neighbours in the kernel. Blocks."""

    def __init__(self, node_ips: Sequence[str], inner: str, set_sysctl: SetSysctl) -> None:
        """node_ips: the links that have them are announced on, each for its family.

        inner: the link that addresses are routed to.

        set_sysctl: changes a setting of the host, which a reset puts back.
        """
        self._node_ips = {ipaddress.ip_address(each).version: each for each in node_ips}
        self._inner = inner
        self._set_sysctl = set_sysctl

    def networks(self) -> tuple[announce.Network, ...]:
        """Return what is on the links that are announced on. Raises OSError, NetlinkError."""
        with IPRoute() as netlink:
            return tuple(
                ipaddress.ip_network(f"{own}/{found['prefixlen']}", strict=False)
                for own in self._node_ips.values()
                for found in netlink.get_addr(address=own)
            )

    def apply(self, wanted: frozenset[str]) -> None:
        """Answer for these addresses and no others. Raises OSError, NetlinkError."""
        with IPRoute() as netlink:
            held = _held(netlink)
            if not wanted and not held:
                return
            outer = {
                version: link
                for version, own in self._node_ips.items()
                if (link := _link_of(netlink, own)) is not None
            }
            inner = next(iter(netlink.link_lookup(ifname=self._inner)), None)
            if not outer or inner is None:
                return
            for address in held - {ipaddress.ip_address(each) for each in wanted}:
                _withdraw(netlink, address, outer.get(address.version, next(iter(outer.values())))[0])
            for address in sorted(map(ipaddress.ip_address, wanted), key=str):
                # A node without an address of the family is on the same link all the same.
                link = outer.get(address.version, next(iter(outer.values())))
                self._announce(netlink, address, link, inner)

    def _announce(self, netlink: Any, address: Address, outer: tuple[int, str, bytes], inner: int) -> None:
        index, name, mac = outer
        family = _FAMILIES[address.version]
        if address.version == 6:
            self._set_sysctl("net/ipv6/conf/all/forwarding", "1")
            self._set_sysctl(f"net/ipv6/conf/{name}/proxy_ndp", "1")
        else:
            self._set_sysctl("net/ipv4/ip_forward", "1")
        # Proxies wait up to 0.8 s before they answer, in case that the owner does.
        self._set_sysctl(f"net/ipv{address.version}/neigh/{name}/proxy_delay", "0")
        route = {
            "dst": f"{address}/{address.max_prefixlen}",
            "oif": inner,
            "family": family,
            "proto": PROTOCOL,
        }
        own = self._node_ips.get(address.version)
        netlink.route("replace", **route, **({"prefsrc": own} if own else {}))
        with _already(errno.EEXIST):
            netlink.neigh("replace", ifindex=index, dst=str(address), flags=_NTF_PROXY, family=family)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((name, 0))
            if isinstance(address, ipaddress.IPv4Address):
                raw.send(announce.arp_announcement(address, mac))
            else:
                raw.send(announce.neighbour_advertisement(address, mac))


def remove() -> None:
    """Answer for no address any more, of this run or an earlier one. Idempotent. Blocks."""
    with IPRoute() as netlink:
        for address in _held(netlink):
            for link in netlink.get_links():
                _withdraw(netlink, address, link["index"])


def _held(netlink: Any) -> set[Address]:
    return {
        ipaddress.ip_address(route.get_attr("RTA_DST"))
        for family in _FAMILIES.values()
        for route in netlink.get_routes(family=family, table=254)
        if route["proto"] == PROTOCOL
    }


def _withdraw(netlink: Any, address: Address, index: int) -> None:
    family = _FAMILIES[address.version]
    with _already(errno.ENOENT, errno.ESRCH):
        netlink.neigh("del", ifindex=index, dst=str(address), flags=_NTF_PROXY, family=family)
    with _already(errno.ENOENT, errno.ESRCH):
        netlink.route("del", dst=f"{address}/{address.max_prefixlen}", family=family, proto=PROTOCOL)


def _link_of(netlink: Any, address: str) -> tuple[int, str, bytes] | None:
    for found in netlink.get_addr(address=address):
        (link,) = netlink.get_links(found["index"])
        mac = bytes.fromhex(link.get_attr("IFLA_ADDRESS").replace(":", ""))
        return found["index"], link.get_attr("IFLA_IFNAME"), mac
    return None


@contextlib.contextmanager
def _already(*codes: int) -> Iterator[None]:
    try:
        yield
    except NetlinkError as err:
        if err.code not in codes:
            raise
