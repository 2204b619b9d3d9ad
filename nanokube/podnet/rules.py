"""The nftables of the overlay: who may send to it, what leaves by it under which address and size. Pure."""

from collections.abc import Sequence

from nanokube.podnet.plan import Network, Plan

TABLE = "inet nanokube-podnet"
LINK = "nk-vxlan"
VNI = 6443  # ours alone, so that another overlay on the same hosts is not mixed up with it
PORT = 4789  # IANA's for VXLAN


def render(plan: Plan, cluster: Sequence[Network]) -> str:
    """Write the whole table, in place of any former one."""
    head = remove()
    if plan.overlay is None:
        return head
    lines = [f"table {TABLE} {{"]
    # Outside each flow of Pods has a source port of its own: entries in the table of connections, for nobody.
    for hook in ("prerouting", "output"):
        rule = f"type filter hook {hook} priority raw; udp dport {PORT} notrack;"
        lines.append(f"  chain outer-{hook} {{ {rule} }}")
    lines += ["  chain input {", "    type filter hook input priority filter;"]
    family = "ip" if plan.overlay.local.version == 4 else "ip6"
    known = ", ".join(dict.fromkeys(str(each.remote) for each in plan.tunnelled))
    # VXLAN knows no sender: whoever reaches the port could pose as any Pod.
    lines.append(f"    udp dport {PORT} {family} saddr != {{ {known} }} drop")
    if family == "ip":
        lines.append(f"    meta nfproto ipv6 udp dport {PORT} drop")
    else:
        lines.append(f"    meta nfproto ipv4 udp dport {PORT} drop")
    lines += ["  }", "  chain forward {", "    type filter hook forward priority mangle;"]
    # Pods have the link's MTU; what goes through the overlay learns its smaller one without a lost packet.
    lines.append(f'    oifname "{LINK}" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu')
    lines += ["  }", "  chain postrouting {", "    type nat hook postrouting priority srcnat;"]
    # The answer to a node's own address would come back past the overlay, from a Pod that routers don't know.
    for version, name in ((4, "ip"), (6, "ip6")):
        ranges = ", ".join(str(each) for each in cluster if each.version == version)
        if ranges:
            lines.append(f'    oifname "{LINK}" {name} saddr != {{ {ranges} }} masquerade fully-random')
    return head + "\n".join([*lines, "  }", "}", ""])


def remove() -> str:
    """Return the commands that remove the table, whether it is there or not."""
    return f"add table {TABLE}\ndelete table {TABLE}\n"
