"""The chain of a Pod in one direction: what the policies that select it allow, as rules of nftables. Pure."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nanokube.netpol import ruleset
from nanokube.netpol.pods import Pod
from nanokube.netpol.policy import EVERY_POD, Peer, Port, Rule

# Where no rule says otherwise: a Pod that is selected is isolated.
_LAST = "drop"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Members:
    """A set of the addresses of a peer's Pods; with what they call `port` of `protocol`, if that is given.

    group: the peer's name. Names are made once: they are asked for at each change.
    """

    name: str
    group: str
    peer: Peer
    version: int
    protocol: str = ""
    port: str = ""

    @property
    def type(self) -> str:
        address = ruleset.address_type(self.version)
        return f"{address} . inet_service" if self.port else address


def members(peer: Peer, version: int, protocol: str = "", port: str = "") -> Members:
    """Name a set."""
    kind = "named" if port else "peers"
    name = ruleset.named_after(kind if version == 4 else f"{kind}6", (peer, protocol, port))
    return Members(name, ruleset.named_after("group", peer), peer, version, protocol, port)


@dataclasses.dataclass(frozen=True, slots=True)
class Chain:
    """Rules, named after themselves, and the sets that they look into."""

    name: str
    rules: tuple[str, ...]
    sets: Mapping[str, Members]


def chain(rules: Iterable[Rule], pod: Pod, versions: Sequence[int], *, is_egress: bool) -> Chain | None:
    """Write the chain of a Pod that all these rules allow something; None if they allow everything.

    pod: who is asked for ports by name on ingress; on egress those are its peers' names.
    """
    lines: list[str] = []
    sets: dict[str, Members] = {}
    for rule in dict.fromkeys(rules):
        if rule.is_open and (not rule.ports):
            return None
        for line, found in _lines(rule, pod, versions, is_egress):
            lines.append(line)
            sets.update({each.name: each for each in found})
    kept = (*dict.fromkeys(lines), _LAST)
    return Chain(ruleset.named_after("to" if is_egress else "from", kept), kept, sets)


def _lines(
    rule: Rule, pod: Pod, versions: Sequence[int], is_egress: bool
) -> Iterator[tuple[str, tuple[Members, ...]]]:
    side = "daddr" if is_egress else "saddr"
    at = list(_at(rule.ports if is_egress else _resolved(rule.ports, pod)))
    if not rule.ports:
        at = [""]
    if rule.is_open:
        yield from ((f"{port}return", ()) for port in at)
    for version in versions:
        ip = ruleset.field(version)
        for peer in rule.peers:
            meant = members(peer, version)
            yield from ((f"{ip} {side} @{meant.name} {port}return", (meant,)) for port in at)
        if blocks := [str(each) for each in rule.blocks if each.version == version]:
            yield from ((f"{ip} {side} {{ {', '.join(blocks)} }} {port}return", ()) for port in at)
        if is_egress:
            peers = (EVERY_POD,) if rule.is_open else rule.peers
            for each in (members(peer, version, p.protocol, p.name) for peer in peers for p in _named(rule)):
                yield f"{ip} daddr . {each.protocol} dport @{each.name} return", (each,)


def _named(rule: Rule) -> Iterator[Port]:
    return (each for each in rule.ports if each.name)


def _resolved(ports: Iterable[Port], pod: Pod) -> Iterator[Port]:
    """Put the Pod's numbers for names; a name that it does not know is no port."""
    for each in ports:
        if not each.name:
            yield each
        elif number := pod.port(each.protocol, each.name):
            yield Port(each.protocol, number, number)


def _at(ports: Iterable[Port]) -> Iterator[str]:
    """Match ports, a rule a protocol; those with names are left out."""
    by_protocol: dict[str, list[tuple[int, int]]] = {}
    for each in ports:
        if not each.name:
            by_protocol.setdefault(each.protocol, []).append((each.first, each.last))
    for protocol, ranges in by_protocol.items():
        if (0, 65535) in ranges:
            yield f"meta l4proto {protocol} "
        else:
            listed = [str(first) if first == last else f"{first}-{last}" for first, last in _merged(ranges)]
            yield f"{protocol} dport {{ {', '.join(listed)} }} "


def _merged(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Merge ranges that overlap, which nft refuses in a set."""
    held: tuple[int, int] | None = None
    for first, last in sorted(ranges):
        if held is not None and first <= held[1] + 1:
            held = held[0], max(held[1], last)
            continue
        if held is not None:
            yield held
        held = first, last
    if held is not None:
        yield held
