"""The proxy's nftables: a fixed skeleton of chains, and map elements that change with the Services. Pure.

A connection's first packet meets, in this order:

    prerouting / output (filter, -101)  address . protocol . port in @rejected         -> ICMP unreachable
    prerouting / output (nat, -100)     @services     : how many slots has this address and port?
                                        chain spread-N: pick a slot, write it into the packet's mark
                                        @endpoints    : address . protocol . port . slot -> DNAT
                                        (@node-ports, @node-port-endpoints: the same for the node's addresses)
    prerouting / output (filter, -99)   the mark is cleared: it is nobody's business but ours
    postrouting (nat, 99)               source and target are one Pod (@hairpin)        -> masquerade

Later packets follow their conntrack entry. Services are elements of data maps, so a change touches a handful
of elements however many Services there are; a chain per Service would make the kernel check all rules again.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from nanokube.proxy.forwards import Endpoint, Forward

TABLE = "ip nanokube"
# Marks of ours are SLOT_BASE + slot while a packet chooses its endpoint, and COUNT_BASE + slots (+ STICKY)
# while it chooses its chain. Both are below one 15-bit prefix, so one rule can clear them.
SLOT_BASE = 0x4E4A0000
COUNT_BASE = 0x4E4B0000
STICKY = 0x8000
PREFIX_MASK = 0xFFFE0000
# Up to EXACT endpoints have a slot each. More share a power of two of slots, at least four an endpoint, so
# that none gets a quarter more than another.
EXACT = 32
POWERS = (256, 1024, 4096)
STICKY_SEED = (
    0x6B756265  # jhash's seed must be fixed: a client keeps its endpoint across restarts of the proxy
)

Element = tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One element to add to or delete from a map or set; value is empty for a set."""

    name: str
    key: str
    value: str = ""


Elements = Mapping[tuple[str, str], str]


def skeleton() -> str:
    """Return the commands that make the table anew, empty, in place of any former one."""
    return "\n".join(
        [
            f"add table {TABLE}",
            f"delete table {TABLE}",
            f"table {TABLE} {{",
            _MAPS,
            *_spread_chains(),
            _CHAINS,
            "}",
        ]
    )


def remove() -> str:
    """Return the commands that remove the table, whether it is there or not."""
    return f"add table {TABLE}\ndelete table {TABLE}\n"


def elements(forwards: Iterable[Forward]) -> dict[tuple[str, str], str]:
    """Return the elements that forwards need: (map or set, key) -> value."""
    found: dict[tuple[str, str], str] = {}
    for forward in forwards:
        found.update(_cluster_elements(forward))
        if forward.node_port:
            found.update(_node_elements(forward))
    return found


def changes(before: Elements, after: Elements) -> str:
    """Return the commands that turn one set of elements into another, as one transaction; empty if equal."""
    gone = [(name, key) for (name, key), value in before.items() if after.get((name, key)) != value]
    new = [(name, key, value) for (name, key), value in after.items() if before.get((name, key)) != value]
    lines = [f"delete element {TABLE} {name} {{ {key} }}" for name, key in gone]
    lines += [
        f"add element {TABLE} {name} {{ {key}{f' : {value}' if value else ''} }}" for name, key, value in new
    ]
    return "\n".join(lines)


def _cluster_elements(forward: Forward) -> Iterator[tuple[tuple[str, str], str]]:
    key = f"{forward.ip} . {forward.protocol} . {forward.port}"
    yield from _mapped("services", "endpoints", key, forward.endpoints, forward.sticky)
    for endpoint in (*forward.endpoints, *forward.node_endpoints):
        yield ("hairpin", f"{endpoint.ip} . {endpoint.ip}"), ""
    if not forward.endpoints:
        yield ("rejected", key), ""


def _node_elements(forward: Forward) -> Iterator[tuple[tuple[str, str], str]]:
    key = f"{forward.protocol} . {forward.node_port}"
    yield from _mapped("node-ports", "node-port-endpoints", key, forward.node_endpoints, forward.sticky)
    # A node without local endpoints drops rather than rejects (externalTrafficPolicy: Local), so that a
    # balancer's health check decides; with none anywhere the client should know at once.
    if not forward.endpoints and not forward.node_endpoints:
        yield ("rejected-node-ports", key), ""


def _mapped(
    counts: str, targets: str, key: str, endpoints: tuple[Endpoint, ...], sticky: bool
) -> Iterator[tuple[tuple[str, str], str]]:
    if not endpoints:
        return
    slots = slots_for(len(endpoints))
    yield (counts, key), hex(COUNT_BASE + slots + (STICKY if sticky else 0))
    for slot in range(slots):
        endpoint = endpoints[slot % len(endpoints)]
        yield (targets, f"{key} . {hex(SLOT_BASE + slot)}"), f"{endpoint.ip} . {endpoint.port}"


def slots_for(count: int) -> int:
    """Return how many slots so many endpoints get.

    >>> slots_for(3), slots_for(32), slots_for(40), slots_for(900), slots_for(5000)
    (3, 32, 256, 4096, 4096)
    """
    if count <= EXACT:
        return count
    return next((power for power in POWERS if power >= 4 * count), POWERS[-1])


def _spread_chains() -> Iterator[str]:
    for slots in (*range(1, EXACT + 1), *POWERS):
        for prefix, target in (("", "to-endpoint"), ("node-", "to-node-endpoint")):
            pick = f"numgen random mod {slots} offset {SLOT_BASE}"
            stick = f"jhash ip saddr mod {slots} seed {STICKY_SEED} offset {SLOT_BASE}"
            yield f"  chain {prefix}spread-{slots} {{ meta mark set {pick}; goto {target}; }}"
            yield f"  chain {prefix}sticky-{slots} {{ meta mark set {stick}; goto {target}; }}"


def _dispatch(prefix: str) -> str:
    verdicts = []
    for slots in (*range(1, EXACT + 1), *POWERS):
        verdicts.append(f"{COUNT_BASE + slots} : goto {prefix}spread-{slots}")
        verdicts.append(f"{COUNT_BASE + STICKY + slots} : goto {prefix}sticky-{slots}")
    return f"meta mark vmap {{ {', '.join(verdicts)} }}"


_MAPS = """\
  map services { type ipv4_addr . inet_proto . inet_service : mark; }
  map endpoints { type ipv4_addr . inet_proto . inet_service . mark : ipv4_addr . inet_service; }
  map node-ports { type inet_proto . inet_service : mark; }
  map node-port-endpoints { type inet_proto . inet_service . mark : ipv4_addr . inet_service; }
  set hairpin { type ipv4_addr . ipv4_addr; }
  set rejected { type ipv4_addr . inet_proto . inet_service; }
  set rejected-node-ports { type inet_proto . inet_service; }
  chain to-endpoint { dnat ip to ip daddr . meta l4proto . th dport . meta mark map @endpoints; }
  chain to-node-endpoint { dnat ip to meta l4proto . th dport . meta mark map @node-port-endpoints; }"""

# Loopback addresses never lead to a NodePort: that would need route_localnet, which lets neighbours reach
# what listens on this host's loopback (CVE-2020-8558).
_LOCAL = "fib daddr type local ip daddr != 127.0.0.0/8"

_CHAINS = f"""\
  chain choose {{
    meta mark set ip daddr . meta l4proto . th dport map @services {_dispatch("")}
    {_LOCAL} meta mark set meta l4proto . th dport map @node-ports {_dispatch("node-")}
  }}
  chain clear-mark {{ meta mark & {PREFIX_MASK} == {SLOT_BASE & PREFIX_MASK} meta mark set 0; }}
  chain refuse {{
    ip daddr . meta l4proto . th dport @rejected reject
    {_LOCAL} meta l4proto . th dport @rejected-node-ports reject
  }}
  chain refuse-prerouting {{ type filter hook prerouting priority -101; ct state new jump refuse; }}
  chain refuse-output {{ type filter hook output priority -101; ct state new jump refuse; }}
  chain prerouting {{ type nat hook prerouting priority -100; jump choose; }}
  chain output {{ type nat hook output priority -100; jump choose; }}
  chain clear-prerouting {{ type filter hook prerouting priority -99; ct state new jump clear-mark; }}
  chain clear-output {{ type filter hook output priority -99; ct state new jump clear-mark; }}
  chain postrouting {{
    type nat hook postrouting priority 99;
    ct status dnat ip saddr . ip daddr @hairpin masquerade
  }}"""
