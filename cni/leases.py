"""Addresses that IPAM gave a Pod, one a family, and the routes they come with. Pure."""

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence

from cni import netlink
from cni.skel import CniError, Code, Json

_DEFAULT_ROUTES = {4: ipaddress.ip_network("0.0.0.0/0"), 6: ipaddress.ip_network("::/0")}


@dataclasses.dataclass(frozen=True, slots=True)
class Lease:
    """One address, with its subnet; the gateway is the host's own there."""

    address: netlink.Interface
    gateway: netlink.Address

    @property
    def whole(self) -> str:
        """The address as a network of its own: /32 or /128."""
        return f"{self.address.ip}/{self.address.ip.max_prefixlen}"


def read(leased: Json) -> tuple[Lease, ...]:
    """Read addresses and gateways of an IPAM result, one a family. Raises CniError."""
    try:
        found = [
            Lease(address, ipaddress.ip_address(each.get("gateway") or address.network[1]))
            for each in leased.get("ips") or []
            for address in [ipaddress.ip_interface(each["address"])]
        ]
    except (IndexError, KeyError, ValueError) as err:
        raise CniError(Code.INVALID_CONFIG, "ipam gave no address that can be used", repr(err)) from err
    if not found or len({each.address.version for each in found}) < len(found):
        raise CniError(Code.INVALID_CONFIG, f"ipam gave {len(found)} addresses: one of each family is needed")
    return tuple(found)


def gateways(leases: Sequence[Lease]) -> dict[int, netlink.Address]:
    """Return the gateways by IP version."""
    return {each.gateway.version: each.gateway for each in leases}


def default_routes(leases: Sequence[Lease]) -> list[dict[str, str]]:
    """Return a default route for each family, as IPAM results have them."""
    return [{"dst": str(_DEFAULT_ROUTES[each.address.version]), "gw": str(each.gateway)} for each in leases]


def route(index: int, each: Json, known: Mapping[int, netlink.Address]) -> netlink.Message:
    """Encode a route of IPAM's by a link. Raises CniError for one of a family that has no gateway.

    known: gateways by IP version, for routes that name none.
    """
    destination = ipaddress.ip_network(each["dst"])
    via = ipaddress.ip_address(each["gw"]) if each.get("gw") else known.get(destination.version)
    if via is None:
        raise CniError(Code.INVALID_CONFIG, f"no gateway for route {destination}")
    return netlink.route(index, destination, via)
