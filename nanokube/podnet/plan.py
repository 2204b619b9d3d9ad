"""How this node reaches the Pods of the others: one route a peer, direct or through the overlay. Pure.

A peer on the same link is the next hop for its Pods (host-gw): their packets travel as they are. A peer
behind a router, which knows nothing of Pods, is reached by VXLAN: its end has an address and a MAC that
follow from its Pod range, so nobody needs to ask or learn them.
"""

import dataclasses
import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from nanokube.api.objects import Object

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# Ethernet, IP, UDP and VXLAN headers around a packet (RFC 7348, section 5); by version of the outer IP.
OVERHEAD_BYTES = {4: 50, 6: 70}


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """A node as others reach it: its own addresses and the ranges of its Pods."""

    name: str
    addresses: tuple[Address, ...]
    ranges: tuple[Network, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """Where packets to an address leave. is_direct: the address is a neighbour on an Ethernet-like link."""

    name: str
    mtu: int
    is_direct: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Direct:
    """Pods whose node is a neighbour."""

    range: Network
    via: Address
    link: str


@dataclasses.dataclass(frozen=True, slots=True)
class Tunnelled:
    """Pods whose node is behind a router. gateway, mac: the far end inside the overlay."""

    range: Network
    remote: Address
    gateway: Address
    mac: str


@dataclasses.dataclass(frozen=True, slots=True)
class Overlay:
    """The node's own end: local is the outer address, inner what it is called inside."""

    local: Address
    inner: tuple[Address, ...]
    mac: str
    mtu: int


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What the kernel is to hold. overlay is None while every peer is a neighbour."""

    direct: tuple[Direct, ...] = ()
    tunnelled: tuple[Tunnelled, ...] = ()
    overlay: Overlay | None = None
    unreachable: tuple[str, ...] = ()


def trim(node: dict[str, Any]) -> dict[str, Any]:
    """Keep of a Node what the network needs, for an informer that holds all of them."""
    meta, status = node["metadata"], node.get("status") or {}
    return {
        "metadata": {
            name: meta[name]
            for name in ("name", "uid", "resourceVersion", "labels", "deletionTimestamp")
            if name in meta
        },
        "spec": {
            name: value for name, value in (node.get("spec") or {}).items() if name in ("podCIDR", "podCIDRs")
        },
        "status": {
            "addresses": status.get("addresses") or [],
            "conditions": [
                {"type": "Ready", "status": each["status"]}
                for each in status.get("conditions") or ()
                if each["type"] == "Ready"
            ],
        },
    }


def peer(node: Object, cluster: Sequence[Network]) -> Peer:
    """Read a Node. Ranges outside of the cluster's are left out: no node may draw other traffic to itself."""
    spec = node.get("spec") or {}
    texts = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    ranges = [found for text in texts if (found := _network(text)) is not None]
    return Peer(
        name=node["metadata"]["name"],
        addresses=tuple(_internal_addresses(node)),
        ranges=tuple(each for each in ranges if any(_is_inside(each, whole) for whole in cluster)),
    )


def make(own: Peer, others: Iterable[Peer], link_to: Callable[[Address], Link | None]) -> Plan:
    """Choose for each range of each other node.

    link_to: how this host reaches an address; None if it does not.
    """
    direct: list[Direct] = []
    behind: list[_Behind] = []
    taken = list(own.ranges)
    for other in sorted(others, key=lambda each: each.name):
        links = {address: link for address in other.addresses if (link := link_to(address)) is not None}
        for each in other.ranges:
            if other.name == own.name or any(_overlaps(each, held) for held in taken):
                continue
            taken.append(each)
            via = _neighbour(each, links)
            if via is not None:
                direct.append(Direct(each, via, links[via].name))
            else:
                behind.append(_Behind(other, each, links))
    return Plan(tuple(direct), *_tunnels(own, behind))


@dataclasses.dataclass(frozen=True, slots=True)
class _Behind:
    """A range of a peer that is no neighbour in its family, and by which links the peer is reached."""

    peer: Peer
    range: Network
    links: Mapping[Address, Link]

    def remote(self, version: int) -> Address | None:
        return next((each for each in self.links if each.version == version), None)


def _tunnels(
    own: Peer, behind: Sequence[_Behind]
) -> tuple[tuple[Tunnelled, ...], Overlay | None, tuple[str, ...]]:
    """Lead ranges through the overlay, which carries both families; returns what stays unreachable, too."""
    local = _outer(own, behind)
    tunnelled: list[Tunnelled] = []
    unreachable: list[str] = []
    mtus: list[int] = []
    for each in behind:
        remote = each.remote(local.version) if local is not None else None
        if remote is None:
            unreachable.append(each.peer.name)
            continue
        mac = mac_of(each.peer.ranges[0].network_address)
        tunnelled.append(Tunnelled(each.range, remote, each.range.network_address, mac))
        mtus.append(each.links[remote].mtu - OVERHEAD_BYTES[remote.version])
    overlay = None
    if local is not None and tunnelled:
        inner = tuple(each.network_address for each in own.ranges)
        overlay = Overlay(local, inner, mac_of(inner[0]), min(mtus))
    return tuple(tunnelled), overlay, tuple(dict.fromkeys(unreachable))


def _outer(own: Peer, behind: Sequence[_Behind]) -> Address | None:
    """Choose our end: one link has one outer family, that by which most are reached, or else our first."""

    def reached(address: Address) -> int:
        return sum(each.remote(address.version) is not None for each in behind)

    chosen = max(own.addresses, key=reached, default=None)
    return chosen if own.ranges and chosen is not None and reached(chosen) else None


def _neighbour(range_: Network, links: Mapping[Address, Link]) -> Address | None:
    """Find a neighbour's address that can be the next hop of a range."""
    for address, link in links.items():
        if link.is_direct and address.version == range_.version:
            return address
    return None


def mac_of(address: Address) -> str:
    """Return the MAC of an overlay's end: locally administered, as unique as its node's Pod range.

    >>> mac_of(ipaddress.ip_address("10.244.3.0"))
    '0a:58:0a:f4:03:00'
    """
    tail = address.packed if address.version == 4 else hashlib.sha256(address.packed).digest()[:4]
    return (b"\x0a\x58" + tail).hex(":")


def _internal_addresses(node: Object) -> Iterable[Address]:
    for each in (node.get("status") or {}).get("addresses") or ():
        if each.get("type") == "InternalIP":
            try:
                yield ipaddress.ip_address(each["address"])
            except ValueError:
                continue


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _is_inside(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _overlaps(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)
