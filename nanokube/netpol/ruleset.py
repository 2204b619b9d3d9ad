"""The nftables of NetworkPolicies: one table, of which a node has what its own Pods need. Pure.

A packet that is forwarded, so to or from a Pod, meets after Services were translated (prerouting) and before
masquerading (postrouting), so with the addresses of the Pods that really talk:

    forward (filter, 0)   an answer, or TCP that is established           -> accept
                          @self: a Pod that reaches itself by a Service   -> accept
                          @egress:  address of the sender   -> its chain: return if a rule allows it, or drop
                          @ingress: address of the receiver -> its chain: return if a rule allows it, or drop

What the node itself sends to its Pods (probes), and they to it, is not forwarded. Pods that the same policies
select share a chain. Chains and sets are named after their content: they are made and removed, never changed;
what changes are elements: addresses in the maps, members in the sets of peers.
Each map and set is there for IPv4 and, with a 6 in its name, for IPv6.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

TABLE = "inet nanokube-netpol"
EGRESS, INGRESS, SELF = "egress", "ingress", "self"
_CHUNK = 1000  # elements a command: the parser keeps a whole command in memory
_TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}
_FIELDS = {4: "ip", 6: "ip6"}


@dataclasses.dataclass(frozen=True, slots=True)
class Set:
    """A set's type, as nft writes it, and its elements."""

    type: str
    elements: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Ruleset:
    """The table's content beside what is always there.

    maps: map (egress, ingress6, self, …) -> elements. chains: name -> rules. sets: name -> set.
    """

    maps: Mapping[str, Mapping[str, str]]
    chains: Mapping[str, Sequence[str]]
    sets: Mapping[str, Set]


EMPTY = Ruleset({}, {}, {})


def field(version: int) -> str:
    """Return what nft calls the header of an IP version."""
    return _FIELDS[version]


def address_type(version: int) -> str:
    """Return nft's type of addresses."""
    return _TYPES[version]


def map_name(name: str, version: int) -> str:
    """Return the name of a map or set of the skeleton.

    >>> map_name(EGRESS, 6)
    'egress6'
    """
    return name if version == 4 else f"{name}6"


def named_after(prefix: str, content: object) -> str:
    """Return a name for what has this content."""
    return f"{prefix}-{hashlib.sha256(repr(content).encode()).hexdigest()[:20]}"


def remove() -> str:
    """Return the commands that remove the table, whether it is there or not."""
    return f"add table {TABLE}\ndelete table {TABLE}\n"


def check() -> str:
    """Return the command that fails if somebody removed the table."""
    return f"list chain {TABLE} forward"


def everything(wanted: Ruleset) -> str:
    """Return the commands that make the whole table anew, in place of any former one, as one transaction."""
    return f"{remove()}{_skeleton()}\n{changes(EMPTY, wanted)}"


def changes(before: Ruleset, after: Ruleset) -> str:
    """Return the commands that bring in what is new, as one transaction; what is not used any more stays."""
    lines = list(_new_sets(before, after))
    lines += _new_chains(before, after)
    for name in sorted({*before.maps, *after.maps}):
        lines += _map_changes(name, before.maps.get(name) or {}, after.maps.get(name) or {})
    return "\n".join(lines)


def removals(before: Ruleset, after: Ruleset) -> str:
    """Return the commands that remove chains and sets that are not used any more.

    In a transaction of their own: kernels count a map's reference to a chain until its element is gone.
    """
    chains = sorted(set(before.chains) - set(after.chains))
    lines = [f"delete chain {TABLE} {name}" for name in chains]
    lines += [f"delete set {TABLE} {name}" for name in sorted(set(before.sets) - set(after.sets))]
    return "\n".join(lines)


def _new_sets(before: Ruleset, after: Ruleset) -> Iterator[str]:
    for name, each in after.sets.items():
        old = before.sets.get(name)
        if old is None:
            yield f"add set {TABLE} {name} {{ type {each.type}; }}"
        have = old.elements if old is not None else frozenset[str]()
        if have is not each.elements:
            yield from _elements("delete", name, have - each.elements)
            yield from _elements("add", name, each.elements - have)


def _new_chains(before: Ruleset, after: Ruleset) -> Iterator[str]:
    for name, rules in after.chains.items():
        if name not in before.chains:
            yield f"add chain {TABLE} {name}"
            yield from (f"add rule {TABLE} {name} {rule}" for rule in rules)


def _map_changes(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    gone = [key for key, value in before.items() if after.get(key) != value]
    new = {key: value for key, value in after.items() if before.get(key) != value}
    yield from _elements("delete", name, gone)
    yield from _elements("add", name, [f"{key} : {value}" if value else key for key, value in new.items()])


def _elements(verb: str, name: str, elements: Iterable[str]) -> Iterator[str]:
    every = sorted(elements)
    for start in range(0, len(every), _CHUNK):
        yield f"{verb} element {TABLE} {name} {{ {', '.join(every[start : start + _CHUNK])} }}"


def _skeleton() -> str:
    lines = [f"table {TABLE} {{"]
    for version, kind in _TYPES.items():
        lines += [
            f"  map {map_name(EGRESS, version)} {{ type {kind} : verdict; }}",
            f"  map {map_name(INGRESS, version)} {{ type {kind} : verdict; }}",
            f"  set {map_name(SELF, version)} {{ type {kind} . {kind}; }}",
        ]
    lines += [
        "  chain forward {",
        "    type filter hook forward priority filter; policy accept;",
        "    ct state related accept",
        "    ct state established ct direction reply accept",
        # UDP knows no connections: a sender that goes on for ever would never be asked again.
        "    ct state established meta l4proto != udp accept",
    ]
    for version, ip in _FIELDS.items():
        lines += [
            f"    {ip} saddr . {ip} daddr @{map_name(SELF, version)} accept",
            f"    {ip} saddr vmap @{map_name(EGRESS, version)}",
            f"    {ip} daddr vmap @{map_name(INGRESS, version)}",
        ]
    return "\n".join([*lines, "  }", "}"])
