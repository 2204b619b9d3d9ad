"""The nftables skeleton of a bridge network: who may send, what leaves under the host's address. Pure."""

from collections.abc import Sequence


def table_name(bridge: str) -> str:
    return f"nanokube-cni-{bridge}"


def render(
    bridge: str, subnets: Sequence[str], inside: Sequence[str], *, masquerades: bool, is_guarded: bool
) -> str:
    """Write the table, replacing its rules and keeping its elements.

    subnets: the bridge's own Pods. inside: networks reached under the Pod's own address: the cluster's Pods.
    Set `pods` holds MAC . IP of every Pod: a frame from the bridge that is not in it is forged and dropped.
    """
    table = table_name(bridge)
    kept = ", ".join(dict.fromkeys((*subnets, *inside, "224.0.0.0/4")))  # multicast keeps its source
    leaving = (
        f"add rule ip {table} postrouting ip saddr {{ {', '.join(subnets)} }} ip daddr != {{ {kept} }} "
        f'oifname != "{bridge}" masquerade fully-random'
        if masquerades
        else ""
    )
    guard = f'add rule ip {table} prerouting iifname "{bridge}" ether saddr . ip saddr != @pods counter drop'
    return f"""
add table ip {table}
add set ip {table} pods {{ type ether_addr . ipv4_addr; comment "MAC and IP of each Pod"; }}
add chain ip {table} prerouting {{ type filter hook prerouting priority raw; policy accept; }}
add chain ip {table} output {{ type filter hook output priority filter; policy accept; }}
add chain ip {table} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
flush chain ip {table} prerouting
flush chain ip {table} output
flush chain ip {table} postrouting
{guard if is_guarded else ""}
add rule ip {table} output oifname "{bridge}" icmp type redirect drop
{leaving}
"""


def render_frames(bridge: str, ports: str, mac: str, gateway: str) -> str:
    """Write the table of family bridge: from a Pod to the bridge itself only, never to another Pod's port.

    ports: prefix of the names of the bridge's ports. The table is asked before br_netfilter, where that is
    loaded, translates addresses and may bridge a packet on.
    """
    table = table_name(bridge)
    return f"""
add table bridge {table}
add chain bridge {table} prerouting {{ type filter hook prerouting priority -200; policy accept; }}
flush chain bridge {table} prerouting
add rule bridge {table} prerouting iifname "{ports}*" ether daddr {mac} accept
add rule bridge {table} prerouting iifname "{ports}*" arp operation request arp daddr ip {gateway} accept
add rule bridge {table} prerouting iifname "{ports}*" counter drop
"""
