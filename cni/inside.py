"""The container's end of a link: its addresses, routes and neighbours. Runs in the container's namespace."""

import contextlib
import errno
import fcntl
import ipaddress
import socket
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from cni import host, leases, links, netlink
from cni.leases import Lease
from cni.skel import CniError, Code, Json

_SIOCGIFADDR = 0x8915


def configure(ifname: str, held: Sequence[Lease], routes: Sequence[Json]) -> None:
    """Give a link its addresses, as networks that their neighbours are part of."""
    index = _prepare(ifname, held)
    known = leases.gateways(held)
    _run(
        *[netlink.address(index, each.address) for each in held],
        netlink.up(index),
        *[leases.route(index, each, known) for each in routes],
    )


def configure_routed(
    ifname: str, held: Sequence[Lease], routes: Sequence[Json], *, pinned: Collection[int] = (4, 6)
) -> None:
    """Give a link its addresses as /32 and /128: the gateways are its only neighbours.

    pinned: IP versions whose gateway has a fixed MAC, that of the first gateway, and is not asked for it.
    """
    index = _prepare(ifname, held)
    known = leases.gateways(held)
    for which in ("all", ifname):
        host.set_own_sysctl(f"net/ipv4/conf/{which}/accept_redirects", "0")  # there are no short cuts
    if 6 in known:
        host.set_own_sysctl(f"net/ipv6/conf/{ifname}/accept_redirects", "0")
    mac = links.mac_of(held[0].gateway)
    _run(
        *[netlink.address(index, ipaddress.ip_interface(each.whole)) for each in held],
        netlink.up(index),
        *[netlink.route(index, ipaddress.ip_network(str(each))) for each in known.values()],
        *[netlink.neighbour(index, each, mac) for version, each in known.items() if version in pinned],
        *[leases.route(index, each, known) for each in routes],
    )


def _prepare(ifname: str, held: Sequence[Lease]) -> int:
    """Settle what a link heeds of IPv6; returns its index."""
    host.set_own_sysctl(f"net/ipv6/conf/{ifname}/accept_ra", "0")
    if any(each.address.version == 6 for each in held):  # new namespaces may have it off
        host.set_own_sysctl(f"net/ipv6/conf/{ifname}/disable_ipv6", "0")
    return socket.if_nametoindex(ifname)


def _run(*messages: netlink.Message) -> None:
    with netlink.Socket() as rtnetlink:
        rtnetlink.run(netlink.up(socket.if_nametoindex("lo")), *messages)


def check(ifname: str, wanted: Iterable[str]) -> None:
    """Demand that a link has these addresses. Raises CniError, and OSError for a link that is not there."""
    found = _addresses_of(ifname)
    for ip in wanted:
        if ip not in found:
            shown = ", ".join(sorted(found)) or "none"
            raise CniError(Code.CHECK_FAILED, f"addresses of {ifname} are {shown}: {ip} is missing")


def _addresses_of(ifname: str) -> set[str]:
    """Return the addresses of a link. Source: netdevice(7), SIOCGIFADDR; proc(5)."""
    found = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, _SIOCGIFADDR, ifname.encode().ljust(40, b"\0"))
            found.add(socket.inet_ntoa(answer[20:24]))
        except OSError as err:
            if err.errno != errno.EADDRNOTAVAIL:
                raise
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines():
            digits, *_, name = line.split()
            if name == ifname:
                found.add(str(ipaddress.IPv6Address(bytes.fromhex(digits))))
    return found
