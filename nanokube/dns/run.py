"""The DNS of one node: its link, its zone over the node's informers, its server."""

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Never

from nanokube.api.objects import Object
from nanokube.client import informer
from nanokube.dns import forward, link, server, zone

SLICE_INDEX = "service"
SLICE_IP_INDEX = "address"
SERVICE_IP_INDEX = "clusterIP"


@dataclasses.dataclass(frozen=True, slots=True)
class DnsConfig:
    """What this node's DNS is told; of each family one, the primary first.

    addresses: where to serve. service_cidrs: routed to this host's translation, from node_ips.
    domain: the cluster's.
    """

    addresses: Sequence[str]
    service_cidrs: Sequence[str]
    node_ips: Sequence[str]
    domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")


class InformerSource:
    """The zone's facts from informers of Services and EndpointSlices."""

    def __init__(self, services: informer.Informer, slices: informer.Informer) -> None:
        """Adds the indexes that it needs, but for SLICE_INDEX, which the proxy shares."""
        self._services = services
        self._slices = slices
        services.add_index(SERVICE_IP_INDEX, index_service_by_ip)
        slices.add_index(SLICE_IP_INDEX, index_slice_by_ip)

    def service(self, namespace: str, name: str) -> Object | None:
        return self._services.get(f"{namespace}/{name}")

    def slices(self, namespace: str, name: str) -> Sequence[Object]:
        return list(self._slices.by_index(SLICE_INDEX, f"{namespace}/{name}"))

    def service_of_ip(self, ip: str) -> Object | None:
        return next(iter(self._services.by_index(SERVICE_IP_INDEX, ip)), None)

    def slices_with_ip(self, ip: str) -> Sequence[Object]:
        return list(self._slices.by_index(SLICE_IP_INDEX, ip))


def index_service_by_ip(service: Object) -> list[str]:
    """Return the ClusterIPs of a Service."""
    spec = service["spec"]
    return [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP", "")] if ip not in ("", "None")]


def index_slice_by_ip(endpoint_slice: Object) -> list[str]:
    """Return the addresses in an EndpointSlice."""
    return [ip for each in endpoint_slice.get("endpoints") or () for ip in each.get("addresses") or ()]


async def run(services: informer.Informer, slices: informer.Informer, config: DnsConfig) -> Never:
    """Answer the cluster's names on this node. The caller runs the informers.

    slices has the index SLICE_INDEX: the key of the Service that a slice belongs to.
    """
    await asyncio.to_thread(link.ensure, config.addresses, config.service_cidrs, config.node_ips)
    names = zone.Zone(config.domain, InformerSource(services, slices))
    await informer.wait_synced(services, slices)
    forwarder = forward.Forwarder(config.resolv_conf, config.addresses)
    await server.Server(names, config.domain, forwarder).run(config.addresses)
