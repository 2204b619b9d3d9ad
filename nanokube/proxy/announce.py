"""Announces balanced addresses on the node's link: one node answers ARP and neighbour solicitations for each.

No address is put on the node, or whatever listens on all of its addresses would answer on these, too. The
kernel answers as a proxy neighbour: the address is routed to a link of ours, the proxy rules take it on.
Source: arp(7), proxy entries; RFC 5227 (announcements), RFC 4861 section 7.2.6.
"""

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from nanokube.api.objects import Object
from nanokube.proxy import forwards

CONDITION = "nanokube.io/FromPool"  # nanokube/controllers/service_lb.py

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def leader(address: str, nodes: Iterable[str]) -> str:
    """Choose who announces an address; "" if nobody can. Every node computes the same. Pure.

    Rendezvous hashing: a node that comes or goes moves no address but its own.
    """

    def rank(node: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{address} {node}".encode()).digest(), node

    return max(nodes, key=rank, default="")


def is_ready(node: Object) -> bool:
    """Tell whether a Node can announce. Pure."""
    meta = node["metadata"]
    if "deletionTimestamp" in meta or EXCLUDED_LABEL in (meta.get("labels") or {}):
        return False
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


EXCLUDED_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"


def announced_here(
    services: Iterable[Object],
    slices: Mapping[str, Sequence[Object]],
    nodes: Iterable[Object],
    own: str,
    networks: Sequence[Network] = (),
) -> frozenset[str]:
    """Return the addresses that a node is to announce. Pure.

    slices: by key of their Service, of those whose traffic policy is Local: only where their endpoints are
    an answer can be given. networks: of the node's own link; an address of them is announced by those on it.
    """
    ready = {node["metadata"]["name"]: node for node in nodes if is_ready(node)}
    found = set()
    for service in services:
        if not is_from_pool(service):
            continue
        able = list(ready)
        if service["spec"].get("externalTrafficPolicy") == "Local":
            key = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
            able = [name for name in ready if _count(service, slices.get(key, ()), name)]
        for ip in forwards.external_ips(service):
            near = [name for name in able if _may_share_link(ready[name], ip, networks)]
            if leader(ip, near) == own:
                found.add(ip)
    return frozenset(found)


def _may_share_link(node: Object, ip: str, networks: Sequence[Network]) -> bool:
    """Tell whether a Node is on the link that an address belongs to, as far as this node can know."""
    address = ipaddress.ip_address(ip)
    network = next((each for each in networks if address in each), None)
    if network is None:
        return True
    held = [ipaddress.ip_address(each) for each in _internal_ips(node)]
    of_family = [each for each in held if each.version == address.version]
    return not of_family or any(each in network for each in of_family)


def _internal_ips(node: Object) -> list[str]:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return [each["address"] for each in addresses if each["type"] == "InternalIP"]


def is_from_pool(service: Object) -> bool:
    """Tell whether a Service's address is ours to announce. Pure."""
    conditions = (service.get("status") or {}).get("conditions") or ()
    return any(each["type"] == CONDITION and each["status"] == "True" for each in conditions)


def _count(service: Object, slices: Sequence[Object], node: str) -> int:
    return forwards.local_endpoints(service, slices, forwards.Here(node))


def arp_announcement(address: ipaddress.IPv4Address, mac: bytes) -> bytes:
    """Return the Ethernet frame that tells all neighbours who has an address. Pure."""
    head = b"\xff" * 6 + mac + b"\x08\x06"
    arp = b"\x00\x01\x08\x00\x06\x04\x00\x01" + mac + address.packed + b"\0" * 6 + address.packed
    return head + arp


def neighbour_advertisement(address: ipaddress.IPv6Address, mac: bytes) -> bytes:
    """Return the Ethernet frame of an unsolicited advertisement to all nodes. Pure."""
    target = ipaddress.IPv6Address("ff02::1")
    override = 0x20000000  # RFC 4861 section 4.4: take this link-layer address over the one you know
    body = b"\x88\x00\x00\x00" + override.to_bytes(4) + address.packed + b"\x02\x01" + mac
    pseudo = address.packed + target.packed + len(body).to_bytes(4) + b"\0\0\0\x3a"
    body = body[:2] + _checksum(pseudo + body).to_bytes(2) + body[4:]
    head = b"\x60\0\0\0" + len(body).to_bytes(2) + b"\x3a\xff" + address.packed + target.packed
    return b"\x33\x33\x00\x00\x00\x01" + mac + b"\x86\xdd" + head + body


def _checksum(data: bytes) -> int:
    """Sum as RFC 1071 does."""
    total = sum(int.from_bytes(data[at : at + 2].ljust(2, b"\0")) for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
