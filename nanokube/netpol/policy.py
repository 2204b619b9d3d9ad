"""What a NetworkPolicy says, read once: whom it selects, and whom they may talk to. Pure.

Source: staging/src/k8s.io/api/networking/v1/types.go; docs "Network Policies".
"""

import dataclasses
import ipaddress
from collections.abc import Iterable, Mapping

from nanokube.api import objects, selectors
from nanokube.api.objects import Object

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LAST_PORT = 65535


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """Pods by labels: of one namespace, or, where that is "", of the namespaces that have labels."""

    namespace: str
    namespaces: selectors.LabelSelector
    pods: selectors.LabelSelector

    def matches_namespace(self, name: str, labels: Mapping[str, str]) -> bool:
        """Tell whether Pods of a namespace may be meant."""
        return self.namespace == name if self.namespace else self.namespaces.matches(labels)


EVERY_POD = Peer("", selectors.EVERYTHING, selectors.EVERYTHING)


@dataclasses.dataclass(frozen=True, slots=True)
class Port:
    """Ports of a protocol, first to last; or the one that the target's containers call by a name."""

    protocol: str
    first: int = 0
    last: int = LAST_PORT
    name: str = ""

    @property
    def is_every(self) -> bool:
        return not self.name and (self.first, self.last) == (0, LAST_PORT)


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What is allowed: peers and blocks (whoever, if is_open) at ports (all, if there are none)."""

    is_open: bool
    peers: tuple[Peer, ...] = ()
    blocks: tuple[Network, ...] = ()
    ports: tuple[Port, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """One policy. A direction that is None is not restricted by it."""

    namespace: str
    pods: selectors.LabelSelector
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None


def read(policy: Object) -> Policy:
    """Read a NetworkPolicy. Raises ValueError for what validation would have refused."""
    spec, namespace = policy.get("spec") or {}, objects.namespace(policy)
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])

    def rules(direction: str, peers: str) -> tuple[Rule, ...] | None:
        if direction not in types:
            return None
        return tuple([_rule(each, each.get(peers), namespace) for each in spec.get(direction.lower()) or ()])

    selected = selectors.from_object(spec.get("podSelector") or {})
    return Policy(namespace, selected, rules("Ingress", "from"), rules("Egress", "to"))


def _rule(rule: Object, peers: Iterable[Object] | None, namespace: str) -> Rule:
    chosen = [each for each in peers or () if "ipBlock" not in each]
    blocks = [network for each in peers or () if "ipBlock" in each for network in _block(each["ipBlock"])]
    return Rule(
        is_open=not peers,
        peers=tuple(dict.fromkeys([_peer(each, namespace) for each in chosen])),
        blocks=tuple(merged(blocks)),
        ports=tuple(dict.fromkeys([_port(each) for each in rule.get("ports") or ()])),
    )


def _peer(peer: Object, namespace: str) -> Peer:
    pods = selectors.from_object(peer.get("podSelector") or {})
    if peer.get("namespaceSelector") is None:
        return Peer(namespace, selectors.EVERYTHING, pods)
    return Peer("", selectors.from_object(peer["namespaceSelector"]), pods)


def _block(block: Object) -> list[Network]:
    """Take what is excepted out of a range."""
    left: list[Network] = [ipaddress.ip_network(block["cidr"], strict=False)]
    for text in block.get("except") or ():
        hole = ipaddress.ip_network(text, strict=False)
        left = [part for each in left for part in _without(each, hole)]
    return left


def _without(network: Network, hole: Network) -> Iterable[Network]:
    if network.version != hole.version or not network.overlaps(hole):
        return [network]
    if network.subnet_of(hole):  # type: ignore[arg-type]
        return []
    return network.address_exclude(hole)  # type: ignore[arg-type]


def merged(networks: Iterable[Network]) -> list[Network]:
    """Merge ranges, sorted: a set of intervals refuses those that overlap."""
    found: list[Network] = []
    for version in (4, 6):
        of_version = [each for each in networks if each.version == version]
        found.extend(ipaddress.collapse_addresses(of_version))  # type: ignore[type-var]
    return found


def _port(port: Object) -> Port:
    protocol, value = (port.get("protocol") or "TCP").lower(), port.get("port")
    if value is None:
        return Port(protocol)
    if isinstance(value, str):
        return Port(protocol, name=value)
    return Port(protocol, value, port.get("endPort") or value)
