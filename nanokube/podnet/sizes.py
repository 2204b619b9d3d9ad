"""How large a packet a Pod may hand to its link, for a link further on to cut. Pure.

Beyond 64 KiB (BIG TCP) each hop's price is shared among more bytes, but a link on the way that does not take
them has the sender's processor cut them up and sum them, which costs most of the throughput. A Pod has one
link for all ways out of its node. So the least of the ways' limits rules; their administrator sets those.
Source: Linux net/core/dev.c netif_set_gso_ipv4_max_size; net/core/sock.c sk_dst_gso_max_size; of IPv6
net/ipv6/ip6_output.c ip6_forward, net/core/gso.c skb_gso_network_seglen.
"""

import re
from collections.abc import Iterable, Mapping

from nanokube.kit.links import DEFAULT_BYTES, Link, Sizes

# The hop-by-hop header of a packet of IPv6 beyond 64 KiB (RFC 2675, 2). Who forwards it counts it into each
# of the pieces, too, though they have none, and refuses those beyond the MTU.
JUMBO_HEADER_BYTES = 8
_IPV6_MTU_MIN = 1280  # RFC 8200, 5

# What the host's end of a Pod's link is called (cni/links.py).
POD_LINK = re.compile(r"nk[0-9a-f]{12}")


def is_of_pod(link: Link) -> bool:
    return POD_LINK.fullmatch(link.name) is not None


def wanted(links: Iterable[Link], ways: Mapping[int, Iterable[int]]) -> Sizes:
    """Decide the sizes of Pods' links.

    ways: by IP version the indices of the links that routes of the node leave by; some lead nowhere. Pods'
    own links are as large as we make them. Never below the kernel's default.
    """
    known = {each.index: each for each in links}

    def least(version: int) -> int:
        found = [
            _limit(known, known[index], version) for index in ways.get(version, ()) if _leads_on(known, index)
        ]
        return max(DEFAULT_BYTES, min(found, default=DEFAULT_BYTES))

    return Sizes(least(4), least(6))


def mtu_of_ipv6(link: Link) -> int:
    """Decide the MTU of IPv6 of the Pod's end of a link with its sizes: large packets' pieces leave room."""
    if link.sizes.ipv6 <= DEFAULT_BYTES:
        return link.mtu
    return max(link.mtu - JUMBO_HEADER_BYTES, min(link.mtu, _IPV6_MTU_MIN))


def _leads_on(known: Mapping[int, Link], index: int) -> bool:
    link = known.get(index)
    if link is None or not link.is_up or is_of_pod(link) or link.kind == "dummy":
        return False
    # One without ports holds addresses, of gateways or of DNS.
    return link.kind != "bridge" or any(each.master == index and each.is_up for each in known.values())


def _limit(known: Mapping[int, Link], link: Link, version: int) -> int:
    """Return the least limit of a link, its ports and what they are upon: any of them would have to cut."""
    met: dict[int, Link] = {}
    rest = [link]
    while rest:
        each = rest.pop()
        met[each.index] = each
        parts = [port for port in known.values() if port.master == each.index and port.is_up]
        if each.below is not None and each.below in known and each.peer_space is None:
            parts.append(known[each.below])
        rest += [part for part in parts if part.index not in met]
    return min(each.sizes.ipv4 if version == 4 else each.sizes.ipv6 for each in met.values())
