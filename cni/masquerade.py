"""The nftables skeleton of a network: who may send, what leaves under the host's address. Pure."""

import ipaddress
from collections.abc import Sequence

# Multicast keeps its source.
_MULTICAST = {"ip": "224.0.0.0/4", "ip6": "ff00::/8"}
_TYPES = {"ip": "ipv4_addr", "ip6": "ipv6_addr"}
_REDIRECTS = {"ip": "icmp type redirect", "ip6": "icmpv6 type nd-redirect"}
_FAMILIES = {4: "ip", 6: "ip6"}


def table_name(bridge: str) -> str:
    return f"nanokube-cni-{bridge}"


def family_of(version: int) -> str:
    """Return the nftables family of an IP version."""
    return _FAMILIES[version]


def render(
    bridge: str,
    subnets: Sequence[str],
    inside: Sequence[str],
    *,
    masquerades: bool,
    is_guarded: bool,
    family: str = "ip",
) -> str:
    """Write the table of one family, replacing its rules and keeping its elements.

    subnets: the bridge's own Pods. inside: networks reached under the Pod's own address: the cluster's Pods.
    Those of the other family are passed over. Set `pods` holds MAC . IP of every Pod: a frame from the bridge
    that is not in it is forged and dropped.
    """
    table = f"{family} {table_name(bridge)}"
    leaving = _leaving(family, subnets, inside) if masquerades else ""
    leaves = f'add rule {table} postrouting {leaving} oifname != "{bridge}" masquerade fully-random'
    pair = f"ether saddr . {family} saddr"
    guard = f'add rule {table} prerouting iifname "{bridge}" {pair} != @pods counter drop'
    return f"""
add table {table}
add set {table} pods {{ type ether_addr . {_TYPES[family]}; comment "MAC and IP of each Pod"; }}
add chain {table} prerouting {{ type filter hook prerouting priority raw; policy accept; }}
add chain {table} output {{ type filter hook output priority filter; policy accept; }}
add chain {table} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
flush chain {table} prerouting
flush chain {table} output
flush chain {table} postrouting
{guard if is_guarded else ""}
add rule {table} output oifname "{bridge}" {_REDIRECTS[family]} drop
{leaves if leaving else ""}
"""


def render_routed(
    network: str, links: str, subnets: Sequence[str], inside: Sequence[str], *, masquerades: bool
) -> str:
    """Write the table of family inet of a network whose Pods have links of their own, in place of any former.

    links: prefix of the names of their host's ends. A packet from such a link has an address that is routed
    to this very link, or it is forged and dropped. The kernel has no answer for addresses that are none, and
    finds link-local ones on every link.
    """
    table = f"inet {table_name(network)}"
    lines = [
        f"add table {table}",
        f"add chain {table} prerouting {{ type filter hook prerouting priority raw; policy accept; }}",
        f"add chain {table} from_pod",
        f"add chain {table} output {{ type filter hook output priority filter; policy accept; }}",
        f"add chain {table} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}",
        *[f"flush chain {table} {chain}" for chain in ("prerouting", "from_pod", "output", "postrouting")],
        f'add rule {table} prerouting iifname "{links}*" jump from_pod',
        f"add rule {table} from_pod ip saddr 0.0.0.0 counter drop",
        f"add rule {table} from_pod ip6 saddr {{ ::, fe80::/10 }} counter drop",
        f"add rule {table} from_pod fib saddr . iif oif missing counter drop",
        *[f'add rule {table} output oifname "{links}*" {each} drop' for each in _REDIRECTS.values()],
    ]
    for family in _FAMILIES.values() if masquerades else ():
        if leaving := _leaving(family, subnets, inside):
            lines.append(f"add rule {table} postrouting {leaving} masquerade fully-random")
    return "\n".join([*lines, ""])


def render_frames(bridge: str, ports: str, mac: str, gateways: Sequence[str]) -> str:
    """Write the table of family bridge: from a Pod to the bridge itself only, never to another Pod's port.

    ports: prefix of the names of the bridge's ports. The table is asked before br_netfilter, where that is
    loaded, translates addresses and may bridge a packet on.
    """
    table = table_name(bridge)
    asking = "\n".join(
        f'add rule bridge {table} prerouting iifname "{ports}*" {_asks_for(each)} accept' for each in gateways
    )
    return f"""
add table bridge {table}
add chain bridge {table} prerouting {{ type filter hook prerouting priority -200; policy accept; }}
flush chain bridge {table} prerouting
add rule bridge {table} prerouting iifname "{ports}*" ether daddr {mac} accept
{asking}
add rule bridge {table} prerouting iifname "{ports}*" counter drop
"""


def _asks_for(gateway: str) -> str:
    """Match the question for a gateway's MAC. Source: RFC 826; RFC 4861, 4.3; RFC 4291, 2.7.1."""
    address = ipaddress.ip_address(gateway)
    if address.version == 4:
        return f"arp operation request arp daddr ip {address}"
    group = ipaddress.IPv6Address(int(ipaddress.IPv6Address("ff02::1:ff00:0")) | int(address) & 0xFFFFFF)
    return f"ip6 daddr {group} icmpv6 type nd-neighbor-solicit"


def _leaving(family: str, subnets: Sequence[str], inside: Sequence[str]) -> str:
    """Match what leaves the networks in which Pods are known; "" without Pods of the family."""
    own = _of_family(family, subnets)
    kept = ", ".join(dict.fromkeys((*own, *_of_family(family, inside), _MULTICAST[family])))
    return f"{family} saddr {{ {', '.join(own)} }} {family} daddr != {{ {kept} }}" if own else ""


def _of_family(family: str, ranges: Sequence[str]) -> list[str]:
    return [each for each in ranges if (":" in each) == (family == "ip6")]
