"""bridge: a veth pair between a container's network namespace and a bridge of the host.

Beside the reference plugin's fields it takes `routed` (cni/README.md, Why): a Pod has its addresses as
/32 and /128, all it sends goes through the host's IP stack, and its bridge port is locked to the Pod's MAC.
Source: containernetworking/plugins, plugins/main/bridge/README.md.
"""

import contextlib
import dataclasses
import functools
import ipaddress
import itertools
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cni import gateway, host, inside, ipam, leases, links, masquerade, netlink, netns, nft
from cni.leases import Lease
from cni.links import Link
from cni.records import Records
from cni.skel import Args, Attachment, CniError, Code, Json

_DATA_DIR = "/var/lib/cni"
_PORT_OF_POD = {
    netlink.BRPORT_HAIRPIN: 1,  # br_netfilter, where loaded, bridges a Pod's packet to itself after DNAT
    netlink.BRPORT_LEARNING: 0,
    netlink.BRPORT_UNICAST_FLOOD: 0,
    netlink.BRPORT_MULTICAST_FLOOD: 0,
    netlink.BRPORT_BROADCAST_FLOOD: 0,
    netlink.BRPORT_LOCKED: 1,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The plugin's part of a network configuration."""

    bridge: str
    is_gateway: bool
    is_default_gateway: bool
    masquerades: bool
    is_hairpin: bool
    is_routed: bool
    deletes_link: bool
    mtu: int
    cluster: tuple[str, ...]
    data_dir: Path

    @property
    def records(self) -> Records:
        return Records(self.data_dir / "bridge" / self.bridge)


def settings(config: Json) -> Settings:
    """Read a network configuration. Raises CniError. Pure."""
    for field in ("vlan", "vlanTrunk", "promiscMode"):
        if config.get(field):
            raise CniError(Code.UNSUPPORTED_FIELD, f"field {field!r} is not supported")
    routed = bool(config.get("routed"))
    default_gateway = bool(config.get("isDefaultGateway"))
    return Settings(
        bridge=gateway.checked_name(str(config.get("bridge") or "cni0")),
        is_gateway=bool(config.get("isGateway")) or default_gateway or routed,
        is_default_gateway=default_gateway,
        masquerades=bool(config.get("ipMasq")),
        is_hairpin=bool(config.get("hairpinMode")),
        is_routed=routed,
        deletes_link=bool(config.get("deleteLink", True)),
        mtu=int(config.get("mtu") or 0),
        cluster=tuple([str(ipaddress.ip_network(cidr)) for cidr in config.get("clusterCIDRs") or ()]),
        data_dir=Path(config.get("dataDir") or _DATA_DIR),
    )


def add(args: Args) -> Json:
    """Attach a container. What was made before a failure is undone."""
    chosen = settings(args.config)
    with contextlib.ExitStack() as undo, netns.opened(args.netns) as fd:
        undo.callback(delete, args)
        leased = ipam.add(args)
        held = leases.read(leased)
        routes = _routes(chosen, held, leased)
        ips = [str(each.address.ip) for each in held]
        owner = Attachment(args.container_id, args.ifname)
        link = Link(owner, links.port_prefix(chosen.bridge), held[0].address.ip)
        chosen.records.put(link.owner, {"mac": link.mac_text, "ips": ips, "link": link.host})
        master = _ready(chosen, held)
        pair = netlink.veth(
            link.host, args.ifname, peer_ns=fd, master=master, peer_mac=link.mac, mtu=chosen.mtu
        )
        try:
            gateway.warm().run(pair)
        except FileExistsError:  # of an earlier namespace of the same container, on its way out
            gateway.warm().run_if_exists(netlink.delete_link(link.host))
            gateway.warm().run(pair)
        _configure_port(chosen, link, master, held)
        netns.run(fd, functools.partial(_configure_inside, args.ifname, chosen, held, routes))
        undo.pop_all()
        return _result(args, chosen, link, held, {**leased, "routes": routes})


def delete(args: Args) -> None:
    """Detach a container. Idempotent; the namespace may be gone."""
    chosen = settings(args.config)
    owner = Attachment(args.container_id, args.ifname)
    _forget(chosen, owner)
    ipam.delete(args)


def check(args: Args) -> None:
    """Fail unless links, address and lease are as ADD left them."""
    chosen = settings(args.config)
    record = chosen.records.demand(Attachment(args.container_id, args.ifname))
    ipam.check(args)
    with netns.opened(args.netns) as fd:
        try:
            socket.if_nametoindex(record["link"])
            netns.run(fd, lambda: inside.check(args.ifname, _ips(record)))
        except OSError as err:
            raise CniError(Code.CHECK_FAILED, f"link of {args.container_id} is missing", str(err)) from err


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
_loaded: dict[tuple[str, Path], tuple[str, ...]] = {}  # tables that this process has loaded


@functools.cache
def _elements(table: str, family: str) -> nft.Elements:
    return nft.Elements(table, family)


def _ready(chosen: Settings, held: Sequence[Lease]) -> int:
    """Make sure that bridge, rules and settings of the host are there; returns the bridge's index."""
    with _ready_lock:
        key = (chosen.bridge, chosen.data_dir)
        networks = (*[str(each.address.network) for each in held], *chosen.cluster)
        try:
            index = socket.if_nametoindex(chosen.bridge)
        except OSError:
            index = gateway.make(chosen.bridge, chosen.data_dir, held[0].gateway, chosen.mtu)
            _loaded.pop(key, None)
        if _loaded.get(key) != networks:
            _prepare_host(chosen, held)
            _loaded[key] = networks
        return index


def _prepare_host(chosen: Settings, held: Sequence[Lease]) -> None:
    gateway.configure(chosen.bridge, chosen.data_dir, held, is_gateway=chosen.is_gateway)
    if chosen.is_routed or chosen.masquerades:
        _load_tables(chosen, held)


def _load_tables(chosen: Settings, held: Sequence[Lease]) -> None:
    """Load rules, and the elements of all Pods that are attached: the tables may be new."""
    table = masquerade.table_name(chosen.bridge)
    subnets = [str(each.address.network) for each in held]
    # The guard of IPv4 is there in any case: unlike IPv6, it cannot be switched off on the bridge.
    for version in sorted({4, *[each.address.version for each in held]}):
        family = masquerade.family_of(version)
        host.remember(chosen.data_dir, "tables" if version == 4 else "tables6", table)
        nft.load(
            masquerade.render(
                chosen.bridge,
                subnets,
                chosen.cluster,
                masquerades=chosen.masquerades,
                is_guarded=chosen.is_routed,
                family=family,
            )
        )
        known = [_pods(record).get(family, []) for _, record in chosen.records.all()]
        if chosen.is_routed and (elements := list(itertools.chain(*known))):
            _elements(table, family).add("pods", elements)
    if chosen.is_routed:
        host.remember(chosen.data_dir, "bridge_tables", table)
        gateways = [each.gateway for each in held]
        ports, mac = links.port_prefix(chosen.bridge), links.mac_of(gateways[0]).hex(":")
        nft.load(masquerade.render_frames(chosen.bridge, ports, mac, [str(each) for each in gateways]))


def _configure_port(chosen: Settings, link: Link, master: int, held: Sequence[Lease]) -> None:
    """Tie a bridge port to its Pod: MAC by the bridge, IP by nftables and a fixed neighbour."""
    index = socket.if_nametoindex(link.host)
    if not chosen.is_routed:
        gateway.warm().run(netlink.bridge_port(index, {netlink.BRPORT_HAIRPIN: int(chosen.is_hairpin)}))
        return
    gateway.warm().run(
        netlink.bridge_port(index, _PORT_OF_POD),
        netlink.forwarding_entry(index, link.mac),
        *[netlink.neighbour(master, each.address.ip, link.mac) for each in held],
    )
    table = masquerade.table_name(chosen.bridge)
    pods = _pods({"mac": link.mac_text, "ips": [str(each.address.ip) for each in held]})
    try:
        for family, elements in pods.items():
            _elements(table, family).add("pods", elements)
    except FileNotFoundError:  # someone deleted a table: they are made again, with all elements
        _load_tables(chosen, held)


def _configure_inside(ifname: str, chosen: Settings, held: Sequence[Lease], routes: Sequence[Json]) -> None:
    """Configure the container's end. Runs in its network namespace."""
    if chosen.is_routed:
        # Asked for by a link-local address, which the guard knows not, a gateway of IPv6 would not answer.
        inside.configure_routed(ifname, held, routes, pinned=(6,))
    else:
        inside.configure(ifname, held, routes)


def _routes(chosen: Settings, held: Sequence[Lease], leased: Json) -> list[Json]:
    """Return the routes of a container: IPAM's, and what default routes are wanted beside them."""
    routes = list(leased.get("routes") or [])
    known = {route["dst"] for route in routes}
    defaults = leases.default_routes(held) if chosen.is_default_gateway else []
    return routes + [each for each in defaults if each["dst"] not in known]


def _forget(chosen: Settings, owner: Attachment) -> None:
    """Undo an attachment by its record, which goes last."""
    record = chosen.records.get(owner)
    if record is None:
        return
    if chosen.is_routed:
        table = masquerade.table_name(chosen.bridge)
        for family, elements in _pods(record).items():
            with contextlib.suppress(FileNotFoundError):
                _elements(table, family).delete("pods", elements)
        with contextlib.suppress(OSError):
            index = socket.if_nametoindex(chosen.bridge)
            neighbours = [
                netlink.delete_neighbour(index, ipaddress.ip_address(each)) for each in _ips(record)
            ]
            gateway.warm().run_if_exists(*neighbours)
    if chosen.deletes_link:
        gateway.warm().run_if_exists(netlink.delete_link(record["link"]))
    chosen.records.delete(owner)


def _ips(record: dict[str, Any]) -> list[str]:
    """Return an attachment's addresses; what earlier versions recorded has one."""
    return record["ips"] if "ips" in record else [record["ip"]]


def _pods(record: dict[str, Any]) -> dict[str, list[bytes]]:
    """Encode the elements of sets `pods` for an attachment, by family."""
    mac = bytes.fromhex(record["mac"].replace(":", ""))
    found: dict[str, list[bytes]] = {}
    for ip in map(ipaddress.ip_address, _ips(record)):
        element = nft.element(nft.concatenate(mac, ip.packed))
        found.setdefault(masquerade.family_of(ip.version), []).append(element)
    return found


def _result(args: Args, chosen: Settings, link: Link, held: Sequence[Lease], leased: Json) -> Json:
    ips = [
        {
            "address": each.whole if chosen.is_routed else str(each.address),
            "gateway": str(each.gateway),
            "interface": 2,
        }
        for each in held
    ]
    return {
        "interfaces": [
            {"name": chosen.bridge, "mac": links.mac_of(held[0].gateway).hex(":")},
            {"name": link.host},
            {"name": args.ifname, "mac": link.mac_text, "sandbox": args.netns},
        ],
        "ips": ips,
        "routes": leased["routes"],
        "dns": leased.get("dns") or {},
    }
