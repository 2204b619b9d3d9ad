"""Makes the kernel's routes, overlay link and rules equal to a plan. Blocks: call it from a thread.

What is ours is known by the routes' protocol number and the link's name: what an earlier run left is found.
Source: rtnetlink(7); Documentation/networking/vxlan.rst.
"""

import contextlib
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from cri.linux import nftables
from nanokube.kit import links
from nanokube.podnet import pods, rules, sizes
from nanokube.podnet.plan import Address, Direct, Link, Network, Overlay, Plan, Tunnelled

log = logging.getLogger(__name__)

PROTOCOL = 107  # rtm_protocol of routes that are ours; unassigned in /etc/iproute2/rt_protos
_ARPHRD_ETHER = 1  # include/uapi/linux/if_arp.h
_RTNH_F_ONLINK = 4  # include/uapi/linux/rtnetlink.h
_NUD_PERMANENT = 0x80  # include/uapi/linux/neighbour.h
_IFA_F_NODAD = 2  # include/uapi/linux/if_addr.h
_RT_TABLE_MAIN, _RTN_UNICAST = 254, 1
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

SetSysctl = Callable[[str, str], None]


class Kernel:
    """The network of the namespace that this process is in."""

    def __init__(self, cluster: Sequence[Network], set_sysctl: SetSysctl, pins: Path | None = None) -> None:
        """set_sysctl: changes a setting of the host, which a reset puts back. pins: of Pods' namespaces."""
        self._cluster = cluster
        self._set_sysctl = set_sysctl
        self._rules = ""
        self._pods = pods.Pods(pins) if pins else None
        self._sizes: links.Sizes | None = None

    def link_to(self, address: Address) -> Link | None:
        """Tell by which link this host reaches an address; None if by none, or if it is its own."""
        with IPRoute() as netlink:
            return _link_to(netlink, address)

    def apply(self, plan: Plan) -> None:
        """Bring routes, link and rules to the plan. Raises OSError, NetlinkError, NftablesError."""
        self._set_sysctl("net/ipv4/ip_forward", "1")
        if any(each.version == 6 for each in self._cluster):
            self._set_sysctl("net/ipv6/conf/all/forwarding", "1")
        with IPRoute() as netlink:
            self._load_rules(plan)
            index = _ensure_overlay(netlink, plan.overlay) if plan.overlay else 0
            if index:
                _ensure_ends(netlink, index, plan.tunnelled)
            held = _main_routes(netlink)
            _ensure_routes(netlink, [each for each in held if each["proto"] == PROTOCOL], plan, index)
            if not plan.overlay:
                _remove_link(netlink)
        self._decide_sizes(plan, held)

    def fit(self) -> links.Sizes:
        """Give Pods' links, new ones too, the limits that apply() found; returns them. Raises OSError."""
        if self._pods is None or self._sizes is None:
            return links.DEFAULT
        with links.Socket() as host:
            self._pods.fit(host, host.links(), self._sizes)
        return self._sizes

    def _decide_sizes(self, plan: Plan, routes: Sequence[Any]) -> None:
        with links.Socket() as host:
            found = host.links()
            names = {each.link for each in plan.direct}
            peers = [each.index for each in found if each.name in names]
            ways: dict[int, list[int]] = {
                each.version: [*peers, *_ways(routes, each.version)] for each in self._cluster
            }
            # The overlay's link takes no more than the kernel's default; others need not be asked.
            wanted = links.DEFAULT if plan.overlay else sizes.wanted(found, ways)
        if wanted != (self._sizes or links.DEFAULT):
            log.info("pods' largest packets changed ipv4=%d ipv6=%d", wanted.ipv4, wanted.ipv6)
        self._sizes = wanted

    def _load_rules(self, plan: Plan) -> None:
        text = rules.render(plan, self._cluster)
        if text != self._rules:
            _run_nft(text)
            self._rules = text


def remove() -> None:
    """Remove whatever is ours, of this run or an earlier one. Idempotent."""
    with IPRoute() as netlink:
        for route in _main_routes(netlink):
            if route["proto"] != PROTOCOL:
                continue
            with _gone_is_fine():
                netlink.route("del", **_arguments(route))
        _remove_link(netlink)
    _run_nft(rules.remove())


def _run_nft(text: str) -> None:
    context = nftables.Nftables()
    try:
        context.run(text)
    finally:
        context.close()


def _link_to(netlink: Any, address: Address) -> Link | None:
    try:
        (route,) = netlink.route("get", dst=str(address), family=_FAMILIES[address.version])
    except (NetlinkError, ValueError):
        return None
    index = route.get_attr("RTA_OIF")
    if route["type"] == 2 or index is None:  # RTN_LOCAL
        return None
    (link,) = netlink.get_links(index)
    name = link.get_attr("IFLA_IFNAME")
    if name == rules.LINK:
        return None
    is_ethernet = link["ifi_type"] == _ARPHRD_ETHER
    via = route.get_attr("RTA_GATEWAY") or route.get_attr("RTA_VIA")
    return Link(name, link.get_attr("IFLA_MTU"), via is None and is_ethernet)


def _ensure_overlay(netlink: Any, wanted: Overlay) -> int:
    """Make the overlay's link as wanted, anew if it has another outer address; returns its index."""
    outer = "vxlan_local" if wanted.local.version == 4 else "vxlan_local6"
    found = netlink.link_lookup(ifname=rules.LINK)
    if found and not _is_as(netlink, found[0], wanted):
        netlink.link("del", index=found[0])
        found = []
    if not found:
        netlink.link(
            "add",
            ifname=rules.LINK,
            kind="vxlan",
            vxlan_id=rules.VNI,
            vxlan_port=rules.PORT,
            vxlan_learning=False,
            address=wanted.mac,
            **{outer: str(wanted.local)},
        )
        found = netlink.link_lookup(ifname=rules.LINK)
    index: int = found[0]
    # Strict reverse path filtering would drop what comes by a way that this node itself does not choose.
    _set_own(f"ipv4/conf/{rules.LINK}/rp_filter", "2")
    is_v4_only = all(each.version == 4 for each in wanted.inner)
    _set_own(f"ipv6/conf/{rules.LINK}/disable_ipv6", str(int(is_v4_only)))
    _set_own(f"ipv6/conf/{rules.LINK}/accept_ra", "0")
    netlink.link("set", index=index, mtu=wanted.mtu, state="up")
    held = {each.get_attr("IFA_ADDRESS") for each in netlink.get_addr(index=index)}
    for address in wanted.inner:
        if str(address) not in held:
            own = {"address": str(address), "prefixlen": address.max_prefixlen}
            # Nobody else has it: it is the source of routes at once.
            netlink.addr(
                "add", index=index, **own, **({"flags": _IFA_F_NODAD} if address.version == 6 else {})
            )
    for address in held - {str(each) for each in wanted.inner}:
        if not ipaddress.ip_address(address).is_link_local:
            netlink.addr(
                "del", index=index, address=address, prefixlen=ipaddress.ip_address(address).max_prefixlen
            )
    return index


def _is_as(netlink: Any, index: int, wanted: Overlay) -> bool:
    (link,) = netlink.get_links(index)
    data = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
    outer = "IFLA_VXLAN_LOCAL" if wanted.local.version == 4 else "IFLA_VXLAN_LOCAL6"
    return bool(
        data
        and data.get_attr(outer) == str(wanted.local)
        and data.get_attr("IFLA_VXLAN_ID") == rules.VNI
        and link.get_attr("IFLA_ADDRESS") == wanted.mac
    )


def _ensure_ends(netlink: Any, index: int, tunnelled: Sequence[Tunnelled]) -> None:
    """Tell the link where each peer's end is: its MAC by the inner address, its host by the MAC."""
    hosts = {each.mac: str(each.remote) for each in tunnelled}
    ends = {str(each.gateway): each.mac for each in tunnelled}
    held = {
        each.get_attr("NDA_LLADDR"): each.get_attr("NDA_DST")
        for each in netlink.fdb("dump", ifindex=index)
        if each["ifindex"] == index and each.get_attr("NDA_DST")
    }
    for mac, host in held.items():
        if hosts.get(mac) != host:
            with _gone_is_fine():
                netlink.fdb("del", ifindex=index, lladdr=mac, dst=host)
    for mac, host in hosts.items():
        if held.get(mac) != host:
            netlink.fdb("append", ifindex=index, lladdr=mac, dst=host)
    for family in _FAMILIES.values():
        _ensure_neighbours(netlink, index, family, ends)


def _ensure_neighbours(netlink: Any, index: int, family: int, ends: dict[str, str]) -> None:
    for each in netlink.get_neighbours(family=family, ifindex=index):
        address = each.get_attr("NDA_DST")
        if each["state"] == _NUD_PERMANENT and address not in ends:
            with _gone_is_fine():
                netlink.neigh("del", ifindex=index, dst=address, family=family)
    for address, mac in ends.items():
        if _FAMILIES[ipaddress.ip_address(address).version] == family:
            netlink.neigh(
                "replace", ifindex=index, dst=address, lladdr=mac, state=_NUD_PERMANENT, family=family
            )


def _ensure_routes(netlink: Any, held: Sequence[Any], plan: Plan, overlay: int) -> None:
    ways: list[Direct | Tunnelled] = [*plan.direct, *plan.tunnelled]
    wanted = {str(each.range): _wanted(netlink, each, plan, overlay) for each in ways}
    for route in held:
        found = _arguments(route)
        # One of IPv6 by another link must go first: the overlay takes no gateway that is reached otherwise
        is_moved = found["dst"] in wanted and wanted[found["dst"]]["oif"] != found["oif"]
        if found["dst"] not in wanted or (is_moved and found["family"] == socket.AF_INET6):
            with _gone_is_fine():
                netlink.route("del", **found)
    for arguments in wanted.values():
        netlink.route("replace", **arguments)


def _wanted(netlink: Any, each: Direct | Tunnelled, plan: Plan, overlay: int) -> dict[str, Any]:
    common = {"dst": str(each.range), "family": _FAMILIES[each.range.version], "proto": PROTOCOL}
    if isinstance(each, Direct):
        (index,) = netlink.link_lookup(ifname=each.link)
        return {**common, "gateway": str(each.via), "oif": index}
    assert plan.overlay is not None
    inner = next((str(own) for own in plan.overlay.inner if own.version == each.range.version), None)
    source = {"prefsrc": inner} if inner else {}
    return {**common, "gateway": str(each.gateway), "oif": overlay, "flags": _RTNH_F_ONLINK, **source}


def _ways(routes: Iterable[Any], version: int) -> Iterable[int]:
    """Return the indices of links that routes of one IP version leave by."""
    for route in routes:
        to = route.get_attr("RTA_DST")
        if route["family"] != _FAMILIES[version] or route["type"] != _RTN_UNICAST:
            continue
        if to is None or not ipaddress.ip_address(to).is_link_local:
            hops = route.get_attr("RTA_MULTIPATH") or ()
            yield from (
                index for index in (route.get_attr("RTA_OIF"), *(hop["oif"] for hop in hops)) if index
            )


def _main_routes(netlink: Any) -> list[Any]:
    return [
        each
        for family in _FAMILIES.values()
        for each in netlink.get_routes(family=family, table=_RT_TABLE_MAIN)
    ]


def _arguments(route: Any) -> dict[str, Any]:
    return {
        "dst": f"{route.get_attr('RTA_DST')}/{route['dst_len']}",
        "family": route["family"],
        "oif": route.get_attr("RTA_OIF"),
    }


def _remove_link(netlink: Any) -> None:
    for index in netlink.link_lookup(ifname=rules.LINK):
        with _gone_is_fine():
            netlink.link("del", index=index)


def _set_own(key: str, value: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        (Path("/proc/sys/net") / key).write_text(value)


@contextlib.contextmanager
def _gone_is_fine() -> Any:
    try:
        yield
    except NetlinkError as err:
        if err.code not in (errno.ENOENT, errno.ESRCH, errno.ENODEV):
            raise
