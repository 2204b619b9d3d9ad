"""bridge: a veth pair between a container's network namespace and a bridge of the host.

Beside the reference plugin's fields it takes `routed` (cni/README.md, Why): a Pod has its addresses as
/32 and /128, all it sends goes through the host's IP stack, and its bridge port is locked to the Pod's MAC.
Source: containernetworking/plugins, plugins/main/bridge/README.md.
"""

import contextlib
import dataclasses
import errno
import fcntl
import functools
import hashlib
import ipaddress
import itertools
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cni import host, ipam, masquerade, netlink, netns, nft
from cni.records import Records
from cni.skel import Args, Attachment, CniError, Code, Json, valid_attachments

_DATA_DIR = "/var/lib/cni"
_SIOCGIFADDR = 0x8915
_DEFAULT_ROUTES = {4: ipaddress.ip_network("0.0.0.0/0"), 6: ipaddress.ip_network("::/0")}
_PORT_OF_POD = {
    netlink.BRPORT_HAIRPIN: 1,  # br_netfilter, where loaded, bridges a Pod's packet to itself after DNAT
    netlink.BRPORT_LEARNING: 0,
    netlink.BRPORT_UNICAST_FLOOD: 0,
    netlink.BRPORT_MULTICAST_FLOOD: 0,
    netlink.BRPORT_BROADCAST_FLOOD: 0,
    netlink.BRPORT_LOCKED: 1,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Lease:
    """One address that IPAM gave, with its subnet; the gateway is the bridge's own there."""

    address: netlink.Interface
    gateway: netlink.Address

    @property
    def whole(self) -> str:
        """The address as a network of its own: /32 or /128."""
        return f"{self.address.ip}/{self.address.ip.max_prefixlen}"


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
    bridge = str(config.get("bridge") or "cni0")
    if not 0 < len(bridge) < 16 or not bridge.replace("-", "").replace("_", "").isalnum():
        raise CniError(Code.INVALID_CONFIG, f"invalid bridge name {bridge!r}")
    routed = bool(config.get("routed"))
    default_gateway = bool(config.get("isDefaultGateway"))
    return Settings(
        bridge=bridge,
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
        leases = _leases(leased)
        ips = [str(each.address.ip) for each in leases]
        link = _Link(args, chosen.bridge, leases[0].address.ip)
        chosen.records.put(link.owner, {"mac": link.mac_text, "ips": ips, "link": link.host})
        master = _ready(chosen, leases)
        pair = netlink.veth(
            link.host, args.ifname, peer_ns=fd, master=master, peer_mac=link.mac, mtu=chosen.mtu
        )
        try:
            warm().run(pair)
        except FileExistsError:  # of an earlier namespace of the same container, on its way out
            warm().run_if_exists(netlink.delete_link(link.host))
            warm().run(pair)
        _configure_port(chosen, link, master, leases)
        netns.run(fd, functools.partial(_configure_inside, args.ifname, chosen, leases, leased))
        undo.pop_all()
        return _result(args, chosen, link, leases, leased)


def delete(args: Args) -> None:
    """Detach a container. Idempotent; the namespace may be gone."""
    chosen = settings(args.config)
    owner = Attachment(args.container_id, args.ifname)
    _forget(chosen, owner)
    ipam.delete(args)


def check(args: Args) -> None:
    """Fail unless links, address and lease are as ADD left them."""
    chosen = settings(args.config)
    record = chosen.records.get(Attachment(args.container_id, args.ifname))
    if record is None:
        raise CniError(Code.CHECK_FAILED, f"container {args.container_id} is not attached")
    ipam.check(args)
    with netns.opened(args.netns) as fd:
        try:
            socket.if_nametoindex(record["link"])
            found = netns.run(fd, lambda: _addresses_of(args.ifname))
        except OSError as err:
            raise CniError(Code.CHECK_FAILED, f"link of {args.container_id} is missing", str(err)) from err
    if missing := [ip for ip in _ips(record) if ip not in found]:
        shown = ", ".join(sorted(found)) or "none"
        raise CniError(Code.CHECK_FAILED, f"addresses of {args.ifname} are {shown}: {missing[0]} is missing")


def gc(args: Args) -> None:
    """Remove what belongs to attachments that are not valid any more."""
    chosen = settings(args.config)
    valid = valid_attachments(args.config)
    for owner, _ in list(chosen.records.all()):
        if owner not in valid:
            _forget(chosen, owner)
    ipam.gc(args)


def status(args: Args) -> None:
    """Fail when no container could be attached."""
    settings(args.config)
    ipam.status(args)


class _Link:
    """Names and MAC of one attachment: derived, so that a repeated call finds what the first one made."""

    def __init__(self, args: Args, bridge: str, ip: netlink.Address) -> None:
        self.owner = Attachment(args.container_id, args.ifname)
        digest = hashlib.sha256(f"{args.container_id}\0{args.ifname}".encode()).hexdigest()
        self.host = port_prefix(bridge) + digest[:8]
        self.mac = mac_of(ip)
        self.mac_text = self.mac.hex(":")


def port_prefix(bridge: str) -> str:
    """Return what the names of a bridge's ports begin with, for rules to match. Pure."""
    return f"nk{hashlib.sha256(bridge.encode()).hexdigest()[:4]}"


def mac_of(ip: netlink.Address) -> bytes:
    """Return the MAC of an address: locally administered, unique as the last 32 bits of it are. Pure."""
    return b"\x0a\x58" + ip.packed[-4:]


_ready_lock = threading.Lock()
_loaded: dict[tuple[str, Path], tuple[str, ...]] = {}  # tables that this process has loaded


@functools.cache
def warm() -> netlink.Socket:
    """Return the process's rtnetlink socket in the host's network namespace."""
    return netlink.Socket()


@functools.cache
def _elements(table: str, family: str) -> nft.Elements:
    return nft.Elements(table, family)


def _ready(chosen: Settings, leases: Sequence[Lease]) -> int:
    """Make sure that bridge, rules and settings of the host are there; returns the bridge's index."""
    with _ready_lock:
        key = (chosen.bridge, chosen.data_dir)
        networks = (*[str(each.address.network) for each in leases], *chosen.cluster)
        try:
            index = socket.if_nametoindex(chosen.bridge)
        except OSError:
            index = _make_bridge(chosen, leases[0].gateway)
            _loaded.pop(key, None)
        if _loaded.get(key) != networks:
            _prepare_host(chosen, index, leases)
            _loaded[key] = networks
        return index


def _make_bridge(chosen: Settings, gateway: netlink.Address) -> int:
    host.remember(chosen.data_dir, "bridges", chosen.bridge)
    with contextlib.suppress(FileExistsError):  # another process was faster
        warm().run(netlink.bridge(chosen.bridge, mac_of(gateway), chosen.mtu))
    return socket.if_nametoindex(chosen.bridge)


def _prepare_host(chosen: Settings, index: int, leases: Sequence[Lease]) -> None:
    own = f"conf/{chosen.bridge}"
    has_ipv6 = any(each.address.version == 6 for each in leases)
    # No router advertisement from a Pod is heard: without IPv6 addresses none of IPv6 is.
    host.set_own_sysctl(f"net/ipv6/{own}/accept_ra", "0")
    host.set_own_sysctl(f"net/ipv6/{own}/disable_ipv6", str(int(not has_ipv6)))
    host.set_own_sysctl(f"net/ipv4/{own}/send_redirects", "0")
    for each in leases if chosen.is_gateway else ():
        interface = ipaddress.ip_interface(f"{each.gateway}/{each.address.network.prefixlen}")
        warm().run(netlink.address(index, interface))
        host.set_sysctl(chosen.data_dir, host.FORWARDING[interface.version], "1")
    if chosen.is_routed or chosen.masquerades:
        _load_tables(chosen, leases)


def _load_tables(chosen: Settings, leases: Sequence[Lease]) -> None:
    """Load rules, and the elements of all Pods that are attached: the tables may be new."""
    table = masquerade.table_name(chosen.bridge)
    subnets = [str(each.address.network) for each in leases]
    # The guard of IPv4 is there in any case: unlike IPv6, it cannot be switched off on the bridge.
    for version in sorted({4, *[each.address.version for each in leases]}):
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
        gateways = [each.gateway for each in leases]
        ports, mac = port_prefix(chosen.bridge), mac_of(gateways[0]).hex(":")
        nft.load(masquerade.render_frames(chosen.bridge, ports, mac, [str(each) for each in gateways]))


def _configure_port(chosen: Settings, link: _Link, master: int, leases: Sequence[Lease]) -> None:
    """Tie a bridge port to its Pod: MAC by the bridge, IP by nftables and a fixed neighbour."""
    index = socket.if_nametoindex(link.host)
    if not chosen.is_routed:
        warm().run(netlink.bridge_port(index, {netlink.BRPORT_HAIRPIN: int(chosen.is_hairpin)}))
        return
    warm().run(
        netlink.bridge_port(index, _PORT_OF_POD),
        netlink.forwarding_entry(index, link.mac),
        *[netlink.neighbour(master, each.address.ip, link.mac) for each in leases],
    )
    table = masquerade.table_name(chosen.bridge)
    pods = _pods({"mac": link.mac_text, "ips": [str(each.address.ip) for each in leases]})
    try:
        for family, elements in pods.items():
            _elements(table, family).add("pods", elements)
    except FileNotFoundError:  # someone deleted a table: they are made again, with all elements
        _load_tables(chosen, leases)


def _configure_inside(ifname: str, chosen: Settings, leases: Sequence[Lease], leased: Json) -> None:
    """Configure the container's end. Runs in its network namespace."""
    index = socket.if_nametoindex(ifname)
    host.set_own_sysctl(f"net/ipv6/conf/{ifname}/accept_ra", "0")
    gateways: dict[int, netlink.Address] = {each.gateway.version: each.gateway for each in leases}
    if 6 in gateways:  # new namespaces may have it off
        host.set_own_sysctl(f"net/ipv6/conf/{ifname}/disable_ipv6", "0")
    messages = [netlink.up(socket.if_nametoindex("lo"))]
    if chosen.is_routed:
        for which in ("all", ifname):
            host.set_own_sysctl(f"net/ipv4/conf/{which}/accept_redirects", "0")  # there are no short cuts
        if 6 in gateways:
            host.set_own_sysctl(f"net/ipv6/conf/{ifname}/accept_redirects", "0")
        messages += [netlink.address(index, ipaddress.ip_interface(each.whole)) for each in leases]
        messages.append(netlink.up(index))
        messages += [netlink.route(index, ipaddress.ip_network(str(each))) for each in gateways.values()]
        if 6 in gateways:  # asked for by a link-local address, which the guard knows not, it would not answer
            messages.append(netlink.neighbour(index, gateways[6], mac_of(leases[0].gateway)))
    else:
        messages += [*[netlink.address(index, each.address) for each in leases], netlink.up(index)]
    routes = [_route(index, each, gateways) for each in leased.get("routes") or []]
    if chosen.is_default_gateway:
        routes += [netlink.route(index, _DEFAULT_ROUTES[each.version], each) for each in gateways.values()]
    with netlink.Socket() as rtnetlink:
        rtnetlink.run(*messages, *routes)


def _route(index: int, each: Json, gateways: Mapping[int, netlink.Address]) -> netlink.Message:
    """Encode a route of IPAM's. Raises CniError for one of a family that has no gateway."""
    destination = ipaddress.ip_network(each["dst"])
    via = ipaddress.ip_address(each["gw"]) if each.get("gw") else gateways.get(destination.version)
    if via is None:
        raise CniError(Code.INVALID_CONFIG, f"no gateway for route {destination}")
    return netlink.route(index, destination, via)


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
            warm().run_if_exists(*neighbours)
    if chosen.deletes_link:
        warm().run_if_exists(netlink.delete_link(record["link"]))
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


def _leases(leased: Json) -> tuple[Lease, ...]:
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


def _result(args: Args, chosen: Settings, link: _Link, leases: Sequence[Lease], leased: Json) -> Json:
    routes = list(leased.get("routes") or [])
    for each in leases if chosen.is_default_gateway else ():
        default = str(_DEFAULT_ROUTES[each.address.version])
        if not any(route["dst"] == default for route in routes):
            routes.append({"dst": default, "gw": str(each.gateway)})
    ips = [
        {
            "address": each.whole if chosen.is_routed else str(each.address),
            "gateway": str(each.gateway),
            "interface": 2,
        }
        for each in leases
    ]
    return {
        "interfaces": [
            {"name": chosen.bridge, "mac": mac_of(leases[0].gateway).hex(":")},
            {"name": link.host},
            {"name": args.ifname, "mac": link.mac_text, "sandbox": args.netns},
        ],
        "ips": ips,
        "routes": routes,
        "dns": leased.get("dns") or {},
    }
