"""The address of the cluster's DNS on this node: a link of our own holds it, so names resolve node-locally.

The link is a bridge without ports, not a dummy device: bridges are there wherever Pods have a network.
The route to the Services' range lies on it too, so that the host reaches ClusterIPs even without a default
route; the packets never leave by it, they are translated first.
"""

import contextlib
import ipaddress
import socket
from collections.abc import Iterator

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

LINK = "nk-dns"
EEXIST = 17


def ensure(address: str, service_cidr: str, node_ip: str, name: str = LINK) -> None:
    """Make what is missing of the link, its address and its route. Raises NetlinkError. Blocks."""
    with IPRoute() as netlink:
        if not netlink.link_lookup(ifname=name):
            netlink.link("add", ifname=name, kind="bridge")
        (index,) = netlink.link_lookup(ifname=name)
        netlink.link("set", index=index, state="up")
        with _existing_is_fine():
            netlink.addr("add", index=index, address=address, prefixlen=32)
        network = ipaddress.ip_network(service_cidr)
        with _existing_is_fine():
            netlink.route("add", dst=str(network), oif=index, prefsrc=node_ip, family=socket.AF_INET)


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
