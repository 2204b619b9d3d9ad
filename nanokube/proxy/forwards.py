"""What a Service asks of the proxy: which address and port goes to which endpoints. Pure.

Source: Kubernetes' "Virtual IPs and Service Proxies"; KEP-1669 (terminating endpoints), KEP-2086 (policies).
"""

import dataclasses
from collections.abc import Iterable, Iterator

from nanokube.api.objects import Object

HEADLESS = "None"
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}
# An address may be an endpoint of a Service but never this host's own loopback or a link's: a Service
# must not become a way to what only the host itself may reach.
FORBIDDEN_PREFIXES = ("127.", "169.254.", "0.")


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where one connection can go."""

    ip: str
    port: int


@dataclasses.dataclass(frozen=True, slots=True)
class Forward:
    """One port of a Service. node_port is 0 if it has none.

    endpoints serve the ClusterIP, node_endpoints the node's own addresses; the traffic policies may
    make them differ. Both are sorted. sticky: the same client keeps its endpoint.
    """

    ip: str
    protocol: str
    port: int
    node_port: int
    endpoints: tuple[Endpoint, ...]
    node_endpoints: tuple[Endpoint, ...]
    sticky: bool


def of_service(service: Object, slices: Iterable[Object], node_name: str) -> tuple[Forward, ...]:
    """Return what the proxy on node_name must do for a Service, given its EndpointSlices."""
    spec = service["spec"]
    ip = spec.get("clusterIP", "")
    if ip in ("", HEADLESS) or ":" in ip or spec.get("type") == "ExternalName":
        return ()
    found = list(slices)
    return tuple(_forward(spec, port, ip, found, node_name) for port in spec.get("ports", ()))


def _forward(spec: Object, port: Object, ip: str, slices: list[Object], node_name: str) -> Forward:
    protocol = port.get("protocol", "TCP")
    all_endpoints = list(_endpoints_of(port.get("name", ""), protocol, slices))
    is_internal_local = spec.get("internalTrafficPolicy") == "Local"
    is_external_local = spec.get("externalTrafficPolicy") == "Local"
    return Forward(
        ip=ip,
        protocol=PROTOCOLS[protocol],
        port=port["port"],
        node_port=port.get("nodePort", 0),
        endpoints=_choose(all_endpoints, node_name if is_internal_local else None),
        node_endpoints=_choose(all_endpoints, node_name if is_external_local else None),
        sticky=spec.get("sessionAffinity") == "ClientIP",
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Candidate:
    endpoint: Endpoint
    node_name: str
    is_ready: bool
    is_serving: bool


def _endpoints_of(port_name: str, protocol: str, slices: list[Object]) -> Iterator[_Candidate]:
    for each in slices:
        if each.get("addressType") != "IPv4":
            continue
        port = next(
            (
                port.get("port")
                for port in each.get("ports") or ()
                if (port.get("name") or "") == port_name and port.get("protocol", "TCP") == protocol
            ),
            None,
        )
        if port is None:
            continue
        for endpoint in each.get("endpoints") or ():
            yield from _candidates(endpoint, port)


def _candidates(endpoint: Object, port: int) -> Iterator[_Candidate]:
    conditions = endpoint.get("conditions") or {}
    is_ready = conditions.get("ready") is not False  # unknown counts as ready (EndpointConditions)
    is_serving = conditions.get("serving", is_ready) is not False and conditions.get("terminating") is True
    for address in endpoint.get("addresses", ())[:1]:  # the field's other addresses have no meaning
        if not address.startswith(FORBIDDEN_PREFIXES):
            yield _Candidate(Endpoint(address, port), endpoint.get("nodeName", ""), is_ready, is_serving)


def _choose(candidates: list[_Candidate], node_name: str | None) -> tuple[Endpoint, ...]:
    """Pick the ready endpoints, or, if none is left, those that still serve while they terminate."""
    eligible = [each for each in candidates if node_name is None or each.node_name == node_name]
    ready = {each.endpoint for each in eligible if each.is_ready}
    return tuple(sorted(ready or {each.endpoint for each in eligible if each.is_serving}))
