"""ptp: a veth pair between a container's network namespace and the host, which routes to it.

No bridge is on a packet's way, nothing is asked by ARP or neighbour discovery, and what comes from a link
must have the address that is routed there (cni/README.md, Why). The gateways are addresses of one bridge
without ports, as plugin bridge has them, so that containers of both may live in one range.
Source: containernetworking/plugins, plugins/main/ptp/README.md.
"""

import contextlib
import dataclasses
import functools
import hashlib
import ipaddress
import socket
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cni import gateway, host, inside, ipam, leases, links, masquerade, netlink, netns, nft
from cni.leases import Lease
from cni.links import Link
from cni.records import Records
from cni.skel import Args, Attachment, CniError, Code, Json

ROUTE_PROTOCOL = 109  # rtm_protocol of the routes to containers; unassigned in /etc/iproute2/rt_protos
_DATA_DIR = "/var/lib/cni"
_IPV6 = Path("/proc/sys/net/ipv6")
_IPV6_MTU_MIN = 1280  # RFC 8200, 5


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The plugin's part of a network configuration."""

    gateway_link: str
    masquerades: bool
    deletes_link: bool
    mtu: int
    cluster: tuple[str, ...]
    dns: Json
    data_dir: Path

    @property
    def prefix(self) -> str:
        """What the host's ends are called at the beginning; ports of a bridge of that name are not."""
        return links.port_prefix(f"ptp {self.gateway_link}")

    @property
    def records(self) -> Records:
        return Records(self.data_dir / "ptp" / self.gateway_link)


def settings(config: Json) -> Settings:
    """Read a network configuration. Raises CniError. Pure."""
    unnamed = f"nkg{hashlib.sha256(str(config.get('name')).encode()).hexdigest()[:8]}"
    return Settings(
        gateway_link=gateway.checked_name(str(config.get("gatewayLink") or unnamed)),
        masquerades=bool(config.get("ipMasq")),
        deletes_link=bool(config.get("deleteLink", True)),
        mtu=int(config.get("mtu") or 0),
        cluster=tuple([str(ipaddress.ip_network(cidr)) for cidr in config.get("clusterCIDRs") or ()]),
        dns=config.get("dns") or {},
        data_dir=Path(config.get("dataDir") or _DATA_DIR),
    )


def add(args: Args) -> Json:
    """Attach a container. What was made before a failure is undone."""
    chosen = settings(args.config)
    with contextlib.ExitStack() as undo, netns.opened(args.netns) as fd:
        undo.callback(delete, args)
        leased = ipam.add(args)
        held = leases.read(leased)
        routes = _routes(held, leased)
        link = Link(Attachment(args.container_id, args.ifname), chosen.prefix, held[0].address.ip)
        pairs = [[str(each.address.ip), str(each.gateway)] for each in held]
        record = {"mac": link.mac_text, "ips": pairs, "link": link.host}
        chosen.records.put(link.owner, record)
        _ready(chosen, held)
        _make_link(args.ifname, chosen, link, held, fd)
        netns.run(fd, functools.partial(inside.configure_routed, args.ifname, held, routes))
        _lead(record, chosen.mtu)
        undo.pop_all()
        return _result(args, chosen, link, held, {**leased, "routes": routes})


def delete(args: Args) -> None:
    """Detach a container. Idempotent; the namespace may be gone."""
    _forget(settings(args.config), Attachment(args.container_id, args.ifname))
    ipam.delete(args)


def check(args: Args) -> None:
    """Fail unless links, addresses, routes and lease are as ADD left them."""
    chosen = settings(args.config)
    record = chosen.records.demand(Attachment(args.container_id, args.ifname))
    ipam.check(args)
    ips = [ip for ip, _ in record["ips"]]
    with netns.opened(args.netns) as fd:
        try:
            routed = _routed_to(record["link"])
            netns.run(fd, lambda: inside.check(args.ifname, ips))
        except OSError as err:
            raise CniError(Code.CHECK_FAILED, f"link of {args.container_id} is missing", str(err)) from err
    for ip in ips:
        if ip not in routed:
            raise CniError(Code.CHECK_FAILED, f"no route to {ip} by {record['link']}")


def gc(args: Args) -> None:
    """Remove what belongs to attachments that are not valid any more."""
    chosen = settings(args.config)
    for owner in chosen.records.stale(args.config):
        _forget(chosen, owner)
    ipam.gc(args)


def status(args: Args) -> None:
    """Fail when no container could be attached."""
    settings(args.config)
    ipam.status(args)


_ready_lock = threading.Lock()
_loaded: dict[tuple[str, Path], tuple[str, ...]] = {}  # networks whose host this process has prepared


@functools.cache
def _table(name: str) -> nft.Elements:
    return nft.Elements(name, "inet")


def _ready(chosen: Settings, held: Sequence[Lease]) -> None:
    """Make sure that gateways, rules and settings of the host are there, whoever took them away."""
    name, data_dir = chosen.gateway_link, chosen.data_dir
    table = masquerade.table_name(name)
    with _ready_lock:
        key = (name, data_dir)
        subnets = [str(each.address.network) for each in held]
        networks = (*subnets, *chosen.cluster)
        is_new = False
        try:
            socket.if_nametoindex(name)
        except OSError:
            gateway.make(name, data_dir, held[0].gateway, chosen.mtu)
            is_new = True
        if is_new or _loaded.get(key) != networks:
            gateway.configure(name, data_dir, held)
        if is_new:
            _lead_all(chosen)
        if _loaded.get(key) != networks or not _table(table).is_loaded():
            host.remember(data_dir, "inet_tables", table)
            nft.load(
                masquerade.render_routed(
                    name, chosen.prefix, subnets, chosen.cluster, masquerades=chosen.masquerades
                )
            )
            _loaded[key] = networks


def _make_link(ifname: str, chosen: Settings, link: Link, held: Sequence[Lease], fd: int) -> None:
    """Make the pair, the host's end down: it is to be settled before it hears anything."""
    pair = netlink.veth(
        link.host,
        ifname,
        peer_ns=fd,
        peer_mac=link.mac,
        mtu=chosen.mtu,
        host_mac=links.mac_of(held[0].gateway),
    )
    try:
        gateway.warm().run(pair)
    except FileExistsError:  # of an earlier namespace of the same container, on its way out
        gateway.warm().run_if_exists(netlink.delete_link(link.host))
        gateway.warm().run(pair)
    # Without IPv6 addresses nothing of IPv6 is heard; hosts may have it off for new links.
    has_ipv6 = any(each.address.version == 6 for each in held)
    host.set_own_sysctl(f"net/ipv6/conf/{link.host}/disable_ipv6", str(int(not has_ipv6)))
    host.set_own_sysctl(f"net/ipv6/conf/{link.host}/accept_ra", "0")


def _lead(record: dict[str, Any], mtu: int) -> None:
    """Bring up the host's end of a recorded link, and lead the container's addresses to it."""
    index = socket.if_nametoindex(record["link"])
    mac = bytes.fromhex(record["mac"].replace(":", ""))
    has_ipv6 = _IPV6.exists() and not 0 < mtu < _IPV6_MTU_MIN
    messages = netlink.routed(index, has_ipv6=has_ipv6)
    for ip, via in record["ips"]:
        address, source = ipaddress.ip_address(ip), ipaddress.ip_address(via)
        messages += [
            netlink.neighbour(index, address, mac),
            netlink.route(index, ipaddress.ip_network(ip), source=source, protocol=ROUTE_PROTOCOL),
        ]
    gateway.warm().run(*messages)


def _lead_all(chosen: Settings) -> None:
    """Lead to all containers anew: with the gateways' addresses the routes went that had them as source."""
    for _, record in chosen.records.all():
        with contextlib.suppress(OSError):  # not made yet, or on its way out
            _lead(record, chosen.mtu)


def _routed_to(link: str) -> set[str]:
    """Return the single addresses that are routed to a link. Raises OSError when there is no such link.

    Source: net/ipv4/fib_trie.c, fib_route_seq_show; net/ipv6/route.c, rt6_info_route.
    """
    socket.if_nametoindex(link)
    found = set()
    for line in _lines("/proc/net/route"):
        name, destination, *_, mask, _mtu, _window, _rtt = line.split()
        if name == link and mask == "FFFFFFFF":
            found.add(socket.inet_ntoa(int(destination, 16).to_bytes(4, "little")))
    for line in _lines("/proc/net/ipv6_route"):
        destination, bits, *_, name = line.split()
        if name == link and bits == "80":
            found.add(str(ipaddress.IPv6Address(bytes.fromhex(destination))))
    return found


def _lines(path: str) -> Iterable[str]:
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        return Path(path).read_text().splitlines()
    return ()


def _forget(chosen: Settings, owner: Attachment) -> None:
    """Undo an attachment by its record, which goes last. Routes and neighbours go with the link."""
    record = chosen.records.get(owner)
    if record is None:
        return
    if chosen.deletes_link:
        gateway.warm().run_if_exists(netlink.delete_link(record["link"]))
    chosen.records.delete(owner)


def _routes(held: Sequence[Lease], leased: Json) -> list[Json]:
    """Return the routes of a container: to its neighbours of the range, then IPAM's."""
    ranges = [{"dst": str(each.address.network), "gw": str(each.gateway)} for each in held]
    return [*ranges, *(leased.get("routes") or [])]


def _result(args: Args, chosen: Settings, link: Link, held: Sequence[Lease], leased: Json) -> Json:
    mac = links.mac_of(held[0].gateway).hex(":")
    return {
        "interfaces": [
            {"name": link.host, "mac": mac},
            {"name": args.ifname, "mac": link.mac_text, "sandbox": args.netns},
        ],
        "ips": [{"address": each.whole, "gateway": str(each.gateway), "interface": 1} for each in held],
        "routes": leased["routes"],
        "dns": chosen.dns or leased.get("dns") or {},
    }
