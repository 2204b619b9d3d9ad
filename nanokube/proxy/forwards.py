"""What a Service asks of the proxy: which address and port goes to which endpoints. Pure.

Source: Kubernetes' "Virtual IPs and Service Proxies"; KEP-1669 (terminating endpoints), KEP-2086 (policies),
KEP-4444 (trafficDistribution).
"""

import dataclasses
import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from nanokube.api.objects import Object

HEADLESS = "None"
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}
ADDRESS_TYPES = {4: "IPv4", 6: "IPv6"}
# An address may be an endpoint of a Service but never this host's own loopback or a link's: a Service
# must not become a way to what only the host itself may reach.
FORBIDDEN_PREFIXES = ("127.", "169.254.", "0.", "fe80:", "ff")
FORBIDDEN = ("::", "::1")
DEFAULT_AFFINITY_S = 10800  # ClientIPConfig.timeoutSeconds


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where one connection can go."""

    ip: str
    port: int


@dataclasses.dataclass(frozen=True, slots=True)
class Here:
    """The node that the proxy runs on, as far as policies ask for it."""

    name: str
    zone: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Forward:
    """One address and port that clients use. ip is "" for a NodePort: it is any address of the node.

    version: 4 or 6. endpoints serve whoever comes; sorted.
    inside: whom the node's own Pods and processes reach instead, None if there is no difference
        (externalTrafficPolicy: Local binds only those who come from elsewhere).
    affinity_s: a client keeps its endpoint so long after its last connection; 0: it does not.
    is_masqueraded: who comes may not be seen by an endpoint of another node, whose answer would pass us by.
    is_refused: without endpoints the client is told so; else its packets are dropped.
    sources: the only ranges that may come; empty: all. is_virtual: nothing but us knows the address.
    """

    ip: str
    version: int
    protocol: str
    port: int
    endpoints: tuple[Endpoint, ...]
    inside: tuple[Endpoint, ...] | None = None
    affinity_s: int = 0
    is_masqueraded: bool = False
    is_refused: bool = True
    sources: tuple[str, ...] = ()
    is_virtual: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Forwards:
    """All of one Service. local: endpoint addresses that are on this node."""

    forwards: tuple[Forward, ...] = ()
    local: frozenset[str] = frozenset()


NOTHING = Forwards()


def of_service(service: Object, slices: Iterable[Object], here: Here) -> Forwards:
    """Return what the proxy of a node must do for a Service, given its EndpointSlices."""
    spec = service["spec"]
    ips = [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP", "")] if ip not in ("", HEADLESS)]
    if not ips or spec.get("type") == "ExternalName":
        return NOTHING
    found, forwards, local = list(slices), list[Forward](), set[str]()
    for ip in ips:
        version = ipaddress.ip_address(ip).version
        for port in spec.get("ports", ()):
            candidates = list(_endpoints_of(port, ADDRESS_TYPES[version], found))
            local |= {each.endpoint.ip for each in candidates if each.node_name == here.name}
            forwards += _of_port(service, port, ip, version, candidates, here)
    return Forwards(tuple(forwards), frozenset(local))


def local_endpoints(service: Object, slices: Iterable[Object], here: Here) -> int:
    """Count the ready endpoints on a node, for its health check (healthCheckNodePort)."""
    found = list(slices)

    def ready(kind: str) -> int:
        own = {
            each.endpoint.ip
            for port in service["spec"].get("ports", ())
            for each in _endpoints_of(port, kind, found)
            if each.is_ready and each.node_name == here.name
        }
        return len(own)

    return max(map(ready, ADDRESS_TYPES.values()))  # a Pod with an address of each is one


def external_ips(service: Object) -> tuple[str, ...]:
    """Return the addresses that a balancer gave a Service and that the proxy is to serve (ipMode VIP)."""
    if service["spec"].get("type") != "LoadBalancer":
        return ()
    points = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return tuple(each["ip"] for each in points if each.get("ip") and each.get("ipMode", "VIP") == "VIP")


def _of_port(
    service: Object, port: Object, ip: str, version: int, candidates: "list[_Candidate]", here: Here
) -> Iterator[Forward]:
    spec = service["spec"]
    protocol = PROTOCOLS[port.get("protocol", "TCP")]
    is_sticky = spec.get("sessionAffinity") == "ClientIP"
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    affinity_s = (config.get("timeoutSeconds") or DEFAULT_AFFINITY_S) if is_sticky else 0
    is_inside_local = spec.get("internalTrafficPolicy") == "Local"
    cluster = _choose(candidates, here, is_local=False)
    own = _choose(candidates, here, is_local=is_inside_local)
    yield Forward(
        ip, version, protocol, port["port"], own, affinity_s=affinity_s, is_refused=not is_inside_local
    )
    is_local = spec.get("externalTrafficPolicy") == "Local"
    external = Forward(
        ip="",
        version=version,
        protocol=protocol,
        port=port.get("nodePort", 0),
        endpoints=_choose(candidates, here, is_local=True) if is_local else cluster,
        inside=cluster if is_local else None,
        affinity_s=affinity_s,
        is_masqueraded=not is_local,
        # With endpoints elsewhere silence lets a balancer's health check decide; with none all should know.
        is_refused=not cluster,
    )
    if external.port:
        yield external
    for each in _of_version(spec.get("externalIPs") or (), version):
        yield dataclasses.replace(external, ip=each, port=port["port"])
    sources = tuple(_of_version(spec.get("loadBalancerSourceRanges") or (), version))
    is_guarded = bool(spec.get("loadBalancerSourceRanges"))
    for each in _of_version(external_ips(service), version):
        # Ranges of the other family only: nobody of this one may come.
        allowed = sources or ((("0.0.0.0/32",), ("::/128",))[version == 6] if is_guarded else ())
        yield dataclasses.replace(external, ip=each, port=port["port"], sources=allowed, is_virtual=True)


def _of_version(texts: Sequence[str], version: int) -> Iterator[str]:
    yield from (text.strip() for text in texts if (":" in text) == (version == 6))


@dataclasses.dataclass(frozen=True, slots=True)
class _Candidate:
    endpoint: Endpoint
    node_name: str
    is_ready: bool
    is_serving: bool
    zones: frozenset[str]
    nodes: frozenset[str]


def _endpoints_of(port: Object, kind: str, slices: list[Object]) -> Iterator[_Candidate]:
    name, protocol = port.get("name", ""), port.get("protocol", "TCP")
    for each in slices:
        if each.get("addressType") != kind:
            continue
        number = next(
            (
                port.get("port")
                for port in each.get("ports") or ()
                if (port.get("name") or "") == name and port.get("protocol", "TCP") == protocol
            ),
            None,
        )
        if number is None:
            continue
        for endpoint in each.get("endpoints") or ():
            yield from _candidates(endpoint, number)


def _candidates(endpoint: Object, port: int) -> Iterator[_Candidate]:
    conditions = endpoint.get("conditions") or {}
    hints = endpoint.get("hints") or {}
    is_ready = conditions.get("ready") is not False  # unknown counts as ready (EndpointConditions)
    is_serving = conditions.get("serving", is_ready) is not False and conditions.get("terminating") is True
    for address in (endpoint.get("addresses") or ())[:1]:  # the field's other addresses have no meaning
        if not address.startswith(FORBIDDEN_PREFIXES) and address not in FORBIDDEN:
            yield _Candidate(
                Endpoint(address, port),
                endpoint.get("nodeName") or "",
                is_ready,
                is_serving,
                frozenset(each["name"] for each in hints.get("forZones") or ()),
                frozenset(each["name"] for each in hints.get("forNodes") or ()),
            )


def _choose(candidates: list[_Candidate], here: Here, *, is_local: bool) -> tuple[Endpoint, ...]:
    """Pick the ready endpoints, or, if none is left, those that still serve while they terminate."""
    eligible = [each for each in candidates if not is_local or each.node_name == here.name]
    ready = [each for each in eligible if each.is_ready]
    if not is_local:
        ready = _near(ready, here)
    chosen = ready or [each for each in eligible if each.is_serving]
    return tuple(sorted({each.endpoint for each in chosen}))


def _near(ready: list[_Candidate], here: Here) -> list[_Candidate]:
    """Keep those that are meant for this node, else for its zone; all, unless each says whom it is for."""
    if ready and all(each.nodes for each in ready):
        own = [each for each in ready if here.name in each.nodes]
        if own:
            return own
    if here.zone and ready and all(each.zones for each in ready):
        return [each for each in ready if here.zone in each.zones] or ready
    return ready
