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
