"""The addresses of the cluster's DNS on this node: a link of our own holds them: names resolve node-locally.

The link is a bridge without ports, not a dummy device: bridges are there wherever Pods have a network.
The routes to the Services' ranges lie on it too, so that the host reaches ClusterIPs even without a default
route; the packets never leave by it, they are translated first.
"""

import contextlib
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nanokube.kit import addresses as kit_addresses

LINK = "nk-dns"
EEXIST = 17
IFA_F_NODAD = 0x02  # include/uapi/linux/if_addr.h


def ensure(
    addresses: Sequence[str], service_cidrs: Sequence[str], node_ips: Sequence[str], name: str = LINK
) -> None:
    """Make what is missing of the link, its addresses and its routes. Raises NetlinkError. Blocks.

    A family in which the node has no address gets no route.
    """
    with IPRoute() as netlink:
        if not netlink.link_lookup(ifname=name):
            netlink.link("add", ifname=name, kind="bridge")
        (index,) = netlink.link_lookup(ifname=name)
        netlink.link("set", index=index, state="up")
        if kit_addresses.first_of(addresses, 6):  # hosts may have it off for new links
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("0")
        for address in addresses:
            with _existing_is_fine():
                _add(netlink, index, address)
        for cidr in service_cidrs:
            network = ipaddress.ip_network(cidr)
            source = kit_addresses.first_of(node_ips, network.version)
            if source:
                with _existing_is_fine():
                    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
                    netlink.route("add", dst=str(network), oif=index, prefsrc=source, family=family)


def _add(netlink: IPRoute, index: int, address: str) -> None:
    if kit_addresses.family(address) == 4:
        netlink.addr("add", index=index, address=address, prefixlen=32)
    else:  # nobody else is on the link: without detection of duplicates it can be bound at once
        netlink.addr("add", index=index, address=address, prefixlen=128, flags=IFA_F_NODAD)


def remove(name: str = LINK) -> None:
    """Remove the link, and with it its address and route. Blocks."""
    with IPRoute() as netlink:
        for index in netlink.link_lookup(ifname=name):
            netlink.link("del", index=index)


@contextlib.contextmanager
def _existing_is_fine() -> Iterator[None]:
    try:
        yield
    except NetlinkError as err:
        if err.code != EEXIST:
            raise
