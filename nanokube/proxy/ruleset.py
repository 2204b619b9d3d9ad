"""The proxy's nftables: a fixed skeleton of chains, and map elements that change with the Services. Pure.

A connection's first packet meets, in this order:

    prerouting / output (filter, -101)  address . protocol . port in @rejected, @dropped, …: ICMP, or silence
    prerouting / output (nat, -100)     @affinity     : has this client an endpoint already?
                                        @inside       : (from the node's Pods and processes only)
                                        @services     : how many slots has this address and port?
                                        chain spread-N: pick a slot, write it into the packet's mark
                                        @endpoints    : address . protocol . port . slot -> DNAT
                                        (@node-ports, @node-port-endpoints: the same for the node's addresses)
    prerouting / output (filter, -99)   the mark is cleared: it is nobody's business but ours
    postrouting (nat, 99)               source and target are one Pod (@hairpin)      -> masquerade
                                        from outside to another node's Pod (@masked)  -> masquerade

Later packets follow their conntrack entry. Services are elements of data maps, so a change touches a handful
of elements however many Services there are; a chain per Service would make the kernel check all rules again.
Each map is there twice, for IPv4 and, with a 6 at the end of its name, for IPv6.
"""

import ipaddress
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nanokube.proxy.forwards import Endpoint, Forward, Forwards

TABLE = "inet nanokube"
# Marks of ours are a base + slot while a packet chooses its endpoint, and a base + slots (+ STICKY) while it
# chooses its chain. All are below one 13-bit prefix, so one rule can clear them.
SLOT_BASE = 0x4E480000
COUNT_BASE = 0x4E490000
INSIDE_SLOT_BASE = 0x4E4A0000
ID_BASE = 0x4E4C0000  # + 16 bits of an endpoint's name: unlike its slot they stay when others come and go
STICKY = 0x8000
PREFIX_MASK = 0xFFF80000
# Up to EXACT endpoints have a slot each. More share a power of two of slots, at least four an endpoint, so
# that none gets a quarter more than another.
EXACT = 32
POWERS = (256, 1024, 4096)
STICKY_SEED = (
    0x6B756265  # jhash's seed must be fixed: a client keeps its endpoint across restarts of the proxy
)
AFFINITY_MAX = 1 << 17  # clients remembered at once; more are spread by their hash alone

Element = tuple[str, str]
Elements = Mapping[Element, str]


def skeleton(pods: Sequence[str] = (), services: Sequence[str] = ()) -> str:
    """Return the commands that make the table anew, empty, in place of any former one.

    pods, services: the cluster's ranges.
    """
    return "\n".join(
        [
            f"add table {TABLE}",
            f"delete table {TABLE}",
            f"table {TABLE} {{",
            *(_maps(suffix, kind) for suffix, kind, _ip in FAMILIES),
            _AFFINITY,
            _TRANSLATE,
            *_spread_chains(),
            *_dispatch_chains(),
            _chains(pods, services),
            "}",
        ]
    )


def remove() -> str:
    """Return the commands that remove the table, whether it is there or not."""
    return f"add table {TABLE}\ndelete table {TABLE}\n"


def elements(wanted: Forwards) -> dict[Element, str]:
    """Return the elements that a Service needs: (map or set, key) -> value."""
    found: dict[Element, str] = {}
    for forward in wanted.forwards:
        found.update(_address_elements(forward) if forward.ip else _node_elements(forward))
    for ip in wanted.local:
        found[_named("local", 6 if ":" in ip else 4), ip] = ""
    return found


def changes(before: Elements, after: Elements) -> str:
    """Return the commands that turn one set of elements into another, as one transaction; empty if equal."""
    gone = [(name, key) for (name, key), value in before.items() if after.get((name, key)) != value]
    new = [(name, key, value) for (name, key), value in after.items() if before.get((name, key)) != value]
    lines = [f"delete element {TABLE} {name} {{ {key} }}" for name, key in gone]
    verdicts = {value for name, _key, value in new if name.startswith("timeouts")}
    for seconds in sorted({int(verdict.rpartition("-")[2]) for verdict in verdicts}):
        lines += _remember_chain(seconds)
    lines += [
        f"add element {TABLE} {name} {{ {key}{f' : {value}' if value else ''} }}" for name, key, value in new
    ]
    return "\n".join(lines)


def _address_elements(forward: Forward) -> Iterator[tuple[Element, str]]:
    key, version = f"{forward.ip} . {forward.protocol} . {forward.port}", forward.version
    yield from _mapped("services", "endpoints", key, forward)
    # nft has no room for two IPv6 addresses beside a mark: such clients are known by their hash alone.
    if forward.affinity_s and forward.endpoints and version == 4:
        yield from _affinity(key, forward)
    if forward.sources:
        yield (_named("guarded", version), key), ""
        for source in _merged(forward.sources):
            yield (_named("allowed", version), f"{key} . {source}"), ""
    if forward.is_masqueraded:
        yield (_named("masked", version), key), ""
    if forward.is_virtual:
        yield (_named("vips", version), forward.ip), ""
    if not forward.endpoints:
        yield (_named(_refusal(forward), version), key), ""


def _node_elements(forward: Forward) -> Iterator[tuple[Element, str]]:
    key, version = f"{forward.protocol} . {forward.port}", forward.version
    yield from _mapped("node-ports", "node-port-endpoints", key, forward)
    if forward.is_masqueraded:
        yield (_named("masked-node-ports", version), key), ""
    if not forward.endpoints:
        yield (_named(f"{_refusal(forward)}-node-ports", version), key), ""


def _refusal(forward: Forward) -> str:
    """Name the set of what becomes of connections that no endpoint may take."""
    if forward.is_refused:
        return "rejected"
    return "silent" if forward.inside else "dropped"


def _mapped(counts: str, targets: str, key: str, forward: Forward) -> Iterator[tuple[Element, str]]:
    for name, base, endpoints in (
        (counts, SLOT_BASE, forward.endpoints),
        (f"inside-{counts}", INSIDE_SLOT_BASE, forward.inside or ()),
    ):
        if not endpoints:
            continue
        slots = slots_for(len(endpoints))
        sticky = STICKY if forward.affinity_s else 0
        yield (_named(name, forward.version), key), hex(COUNT_BASE + slots + sticky)
        for slot in range(slots):
            endpoint = endpoints[slot % len(endpoints)]
            target = f"{key} . {hex(base + slot)}"
            yield (_named(targets, forward.version), target), _to(endpoint)
        for endpoint in endpoints:
            yield (_named("hairpin", forward.version), f"{endpoint.ip} . {endpoint.ip}"), ""


def _affinity(key: str, forward: Forward) -> Iterator[tuple[Element, str]]:
    """What remembers a client: slot -> name of its endpoint, name -> endpoint, how long."""
    ids = _ids(forward.endpoints)
    for slot in range(slots_for(len(forward.endpoints))):
        mark = hex(ids[forward.endpoints[slot % len(forward.endpoints)]])
        yield ("ids", f"{key} . {hex(SLOT_BASE + slot)}"), mark
    for endpoint, mark_of_it in ids.items():
        yield ("endpoints", f"{key} . {hex(mark_of_it)}"), _to(endpoint)
    yield ("timeouts", key), f"goto remember-{forward.affinity_s}"


def _ids(endpoints: Sequence[Endpoint]) -> dict[Endpoint, int]:
    """Give each endpoint a mark that depends on itself, and on others only where two would be one."""
    taken: dict[int, Endpoint] = {}
    for endpoint in endpoints:
        mark = zlib.crc32(f"{endpoint.ip} {endpoint.port}".encode()) & 0xFFFF
        while mark in taken and len(taken) < 0x10000:
            mark = (mark + 1) & 0xFFFF
        taken[mark] = endpoint
    return {endpoint: ID_BASE + mark for mark, endpoint in taken.items()}


def _merged(sources: Sequence[str]) -> list[str]:
    """Merge ranges: an interval set refuses those that overlap."""
    networks = [ipaddress.ip_network(each, strict=False) for each in sources]
    return [str(each) for each in ipaddress.collapse_addresses(networks)]  # type: ignore[type-var]


def _to(endpoint: Endpoint) -> str:
    return f"{endpoint.ip} . {endpoint.port}"


def _named(name: str, version: int) -> str:
    return name if version == 4 else f"{name}6"


def slots_for(count: int) -> int:
    """Return how many slots so many endpoints get.

    >>> slots_for(3), slots_for(32), slots_for(40), slots_for(900), slots_for(5000)
    (3, 32, 256, 4096, 4096)
    """
    if count <= EXACT:
        return count
    return next((power for power in POWERS if power >= 4 * count), POWERS[-1])


# prefix of the chains, base of the slots, chain that translates
_KINDS = (
    ("", SLOT_BASE, "to-endpoint", "remember"),
    ("node-", SLOT_BASE, "to-node-endpoint", "to-node-endpoint"),
    ("inside-", INSIDE_SLOT_BASE, "to-endpoint", "to-endpoint"),
    ("inside-node-", INSIDE_SLOT_BASE, "to-node-endpoint", "to-node-endpoint"),
)


def _spread_chains() -> Iterator[str]:
    for slots in (*range(1, EXACT + 1), *POWERS):
        for prefix, base, target, after_sticky in _KINDS:
            pick = f"numgen random mod {slots} offset {base}"
            yield f"  chain {prefix}spread-{slots} {{ meta mark set {pick}; goto {target}; }}"
            stick = f"mod {slots} seed {STICKY_SEED} offset {base}"
            yield (
                f"  chain {prefix}sticky-{slots} {{ meta nfproto ipv6 meta mark set jhash ip6 saddr {stick}"
                f" goto {target}; meta mark set jhash ip saddr {stick}; goto {after_sticky}; }}"
            )


def _dispatch_chains() -> Iterator[str]:
    for prefix, *_rest in _KINDS:
        verdicts = []
        for slots in (*range(1, EXACT + 1), *POWERS):
            verdicts.append(f"{COUNT_BASE + slots} : goto {prefix}spread-{slots}")
            verdicts.append(f"{COUNT_BASE + STICKY + slots} : goto {prefix}sticky-{slots}")
        yield f"  chain {prefix}dispatch {{ meta mark vmap {{ {', '.join(verdicts)} }}; }}"


# suffix of the maps' names, their type of addresses, how rules name the packet's
FAMILIES = (("", "ipv4_addr", "ip"), ("6", "ipv6_addr", "ip6"))


def _maps(suffix: str, kind: str) -> str:
    """Declare the maps and sets of one family."""
    at = f"{kind} . inet_proto . inet_service"
    return f"""\
  map services{suffix} {{ type {at} : mark; }}
  map inside-services{suffix} {{ type {at} : mark; }}
  map endpoints{suffix} {{ type {at} . mark : {kind} . inet_service; }}
  map node-ports{suffix} {{ type inet_proto . inet_service : mark; }}
  map inside-node-ports{suffix} {{ type inet_proto . inet_service : mark; }}
  map node-port-endpoints{suffix} {{ type inet_proto . inet_service . mark : {kind} . inet_service; }}
  set hairpin{suffix} {{ type {kind} . {kind}; }}
  set local{suffix} {{ type {kind}; }}
  set vips{suffix} {{ type {kind}; }}
  set guarded{suffix} {{ type {at}; }}
  set allowed{suffix} {{ type {at} . {kind}; flags interval; }}
  set masked{suffix} {{ type {at}; }}
  set masked-node-ports{suffix} {{ type inet_proto . inet_service; }}
  set rejected{suffix} {{ type {at}; }}
  set dropped{suffix} {{ type {at}; }}
  set silent{suffix} {{ type {at}; }}
  set rejected-node-ports{suffix} {{ type inet_proto . inet_service; }}
  set silent-node-ports{suffix} {{ type inet_proto . inet_service; }}
  set dropped-node-ports{suffix} {{ type inet_proto . inet_service; }}"""


_AFFINITY = f"""\
  map ids {{ type ipv4_addr . inet_proto . inet_service . mark : mark; }}
  map timeouts {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map affinity {{
    type ipv4_addr . inet_proto . inet_service . ipv4_addr : mark; flags dynamic,timeout; size {AFFINITY_MAX};
  }}"""


def _remember_chain(seconds: int) -> list[str]:
    """Make the chain that notes a client for so long, whether it is there or not."""
    chain = f"{TABLE} remember-{seconds}"
    client = f"{_key('ip')} . ip saddr timeout {seconds}s"
    return [
        f"add chain {chain}",
        f"flush chain {chain}",
        f"add rule {chain} update @affinity {{ {client} : meta mark }}",
        f"add rule {chain} goto to-endpoint",
    ]


def _key(ip: str) -> str:
    return f"{ip} daddr . meta l4proto . th dport"


_NODE_KEY = "meta l4proto . th dport"
# Loopback addresses never lead to a NodePort: that would need route_localnet, which lets neighbours reach
# what listens on this host's loopback (CVE-2020-8558).
_OWN = {
    "ip": "fib daddr type local ip daddr != 127.0.0.0/8",
    "ip6": "fib daddr type local ip6 daddr != ::1",
}


def _each(line: str) -> str:
    """Write a line once a family. @S: suffix of names, @KEY: the packet, @OWN: it is for us."""
    return "\n".join(
        line.replace("@S", suffix).replace("@IP", ip).replace("@KEY", _key(ip)).replace("@OWN", _OWN[ip])
        for suffix, _kind, ip in FAMILIES
    )


# An update keeps the value that is there, so a client's former endpoint is deleted before.
_TRANSLATE = f"""\
  chain to-endpoint {{
{_each("    dnat @IP to @KEY . meta mark map @endpoints@S")}
  }}
  chain to-node-endpoint {{
{_each(f"    meta protocol @IP dnat @IP to {_NODE_KEY} . meta mark map @node-port-endpoints@S")}
  }}
  chain recall {{
    {_key("ip")} vmap @timeouts
  }}
  chain remember {{
    meta mark set {_key("ip")} . meta mark map @ids
    delete @affinity {{ {_key("ip")} . ip saddr : meta mark }}
    goto recall
  }}"""


def _chains(pods: Sequence[str], services: Sequence[str]) -> str:
    from_pods = _when("saddr", pods)
    return f"""\
  chain choose-inside {{
{_each("    meta mark set @KEY map @inside-services@S jump inside-dispatch")}
{_each(f"    @OWN meta mark set {_NODE_KEY} map @inside-node-ports@S jump inside-node-dispatch")}
  }}
  chain choose {{
    meta mark set {_key("ip")} . ip saddr map @affinity jump recall
{_each("    meta mark set @KEY map @services@S jump dispatch")}
{_each(f"    @OWN meta mark set {_NODE_KEY} map @node-ports@S jump node-dispatch")}
  }}
  chain clear-mark {{ meta mark & {PREFIX_MASK} == {SLOT_BASE & PREFIX_MASK} meta mark set 0; }}
  chain refuse {{
{_each("    @KEY @rejected@S reject")}
{_each("    @KEY @dropped@S drop")}
{_each(f"    @OWN {_NODE_KEY} @rejected-node-ports@S reject")}
{_each(f"    @OWN {_NODE_KEY} @dropped-node-ports@S drop")}
  }}
  chain refuse-outside {{
{_lines(f"{each} return" for each in from_pods)}
{_each("    @KEY @silent@S drop")}
{_each(f"    @OWN {_NODE_KEY} @silent-node-ports@S drop")}
  }}
  chain refuse-prerouting {{
    type filter hook prerouting priority -101;
    ct state != new return
{_each("    @KEY @guarded@S @KEY . @IP saddr != @allowed@S drop")}
    jump refuse
    jump refuse-outside
  }}
  chain refuse-output {{ type filter hook output priority -101; ct state new jump refuse; }}
  chain prerouting {{
    type nat hook prerouting priority -100;
{_lines(f"{each} jump choose-inside" for each in from_pods)}
    jump choose
  }}
  chain output {{ type nat hook output priority -100; jump choose-inside; jump choose; }}
  chain clear-prerouting {{
    type filter hook prerouting priority -99;
    ct state != new return
    jump clear-mark
{_each("    @IP daddr @vips@S drop")}
  }}
  chain clear-output {{ type filter hook output priority -99; ct state new jump clear-mark; }}
  chain postrouting {{
    type nat hook postrouting priority 99;
    ct status & dnat == 0 return
{_each("    @IP saddr . @IP daddr @hairpin@S masquerade")}
{_each("    @IP daddr @local@S return")}
{_lines(_masks(services))}
  }}"""


def _masks(services: Sequence[str]) -> Iterator[str]:
    # By protocol: nft knows what a port in a conntrack entry is only where it knows the protocol.
    for protocol in ("tcp", "udp", "sctp"):
        at = "meta l4proto . ct original proto-dst"
        for suffix, _kind, ip in FAMILIES:
            target = f"ct original {ip} daddr"
            yield f"meta l4proto {protocol} {target} . {at} @masked{suffix} masquerade fully-random"
        for version, ip in ((4, "ip"), (6, "ip6")):
            own = [each for each in services if (":" in each) == (version == 6)]
            others = f"ct original {ip} daddr != {{ {', '.join(own)} }} " if own else f"meta protocol {ip} "
            name = _named("masked-node-ports", version)
            yield f"{others}meta l4proto {protocol} {at} @{name} masquerade fully-random"


def _when(field: str, ranges: Sequence[str]) -> list[str]:
    """Match ranges in a packet's field, a rule a family."""
    found = []
    for suffix, _kind, ip in FAMILIES:
        own = [each for each in ranges if (":" in each) == (suffix == "6")]
        if own:
            found.append(f"{ip} {field} {{ {', '.join(own)} }}")
    return found


def _lines(rules: Iterable[str]) -> str:
    return "\n".join(f"    {rule}" for rule in rules)
