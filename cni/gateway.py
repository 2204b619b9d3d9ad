"""The bridge that holds the Pods' gateway addresses; Pods may be its ports, or on routes of their own.

Not a dummy device: bridges are there wherever Pods have a network.
"""

import contextlib
import functools
import ipaddress
import socket
from collections.abc import Sequence
from pathlib import Path

from cni import host, links, netlink
from cni.leases import Lease
from cni.skel import CniError, Code


@functools.cache
def warm() -> netlink.Socket:
    """Return the process's rtnetlink socket in the host's network namespace."""
    return netlink.Socket()


def checked_name(name: str) -> str:
    """Return the name of a bridge. Raises CniError where none can be called so. Pure."""
    if not 0 < len(name) < 16 or not name.replace("-", "").replace("_", "").isalnum():
        raise CniError(Code.INVALID_CONFIG, f"invalid bridge name {name!r}")
    return name


def make(name: str, data_dir: Path, first: netlink.Address, mtu: int) -> int:
    """Make the bridge, called after the first gateway; returns its index."""
    host.remember(data_dir, "bridges", name)
    with contextlib.suppress(FileExistsError):  # another process was faster
        warm().run(netlink.bridge(name, links.mac_of(first), mtu))
    return socket.if_nametoindex(name)


def configure(name: str, data_dir: Path, leases: Sequence[Lease], *, is_gateway: bool = True) -> None:
    """Settle what the bridge heeds; is_gateway: give it its addresses, and have the host forward."""
    own = f"conf/{name}"
    has_ipv6 = any(each.address.version == 6 for each in leases)
    # No router advertisement from a Pod is heard: without IPv6 addresses none of IPv6 is.
    host.set_own_sysctl(f"net/ipv6/{own}/accept_ra", "0")
    host.set_own_sysctl(f"net/ipv6/{own}/disable_ipv6", str(int(not has_ipv6)))
    host.set_own_sysctl(f"net/ipv4/{own}/send_redirects", "0")
    index = socket.if_nametoindex(name)
    for each in leases if is_gateway else ():
        interface = ipaddress.ip_interface(f"{each.gateway}/{each.address.network.prefixlen}")
        warm().run(netlink.address(index, interface))
        host.set_sysctl(data_dir, host.FORWARDING[interface.version], "1")
