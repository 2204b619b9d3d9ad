"""bridge: a veth pair between a container's network namespace and a bridge of the host.

Beside the reference plugin's fields it takes `routed` (cni/README.md, Why): a Pod has its address as /32, all
it sends goes through the host's IP stack, and its bridge port is locked to the Pod's MAC.
Source: containernetworking/plugins, plugins/main/bridge/README.md.
"""

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import ipaddress
import socket
import threading
from pathlib import Path
from typing import Any

from cni import host, ipam, masquerade, netlink, netns, nft
from cni.records import Records
from cni.skel import Args, Attachment, CniError, Code, Json, valid_attachments

_DATA_DIR = "/var/lib/cni"
_SIOCGIFADDR = 0x8915
_DEFAULT_ROUTE = ipaddress.IPv4Network("0.0.0.0/0")
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
        address, gateway = _ipv4(leased)
        link = _Link(args, chosen.bridge, address.ip)
        chosen.records.put(link.owner, {"mac": link.mac_text, "ip": str(address.ip), "link": link.host})
        master = _ready(chosen, gateway, address.network)
        pair = netlink.veth(
            link.host, args.ifname, peer_ns=fd, master=master, peer_mac=link.mac, mtu=chosen.mtu
        )
        try:
            warm().run(pair)
        except FileExistsError:  # of an earlier namespace of the same container, on its way out
            warm().run_if_exists(netlink.delete_link(link.host))
            warm().run(pair)
        _configure_port(chosen, link, master, address, gateway)
        netns.run(fd, functools.partial(_configure_inside, args.ifname, chosen, address, gateway, leased))
        undo.pop_all()
        return _result(args, chosen, link, address, gateway, leased)


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
            found = netns.run(fd, lambda: _address_of(args.ifname))
        except OSError as err:
            raise CniError(Code.CHECK_FAILED, f"link of {args.container_id} is missing", str(err)) from err
    if found != record["ip"]:
        raise CniError(Code.CHECK_FAILED, f"address of {args.ifname} is {found}, not {record['ip']}")


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

    def __init__(self, args: Args, bridge: str, ip: ipaddress.IPv4Address) -> None:
        self.owner = Attachment(args.container_id, args.ifname)
        digest = hashlib.sha256(f"{args.container_id}\0{args.ifname}".encode()).hexdigest()
        self.host = port_prefix(bridge) + digest[:8]
        self.mac = mac_of(ip)
        self.mac_text = self.mac.hex(":")


def port_prefix(bridge: str) -> str:
    """Return what the names of a bridge's ports begin with, for rules to match. Pure."""
    return f"nk{hashlib.sha256(bridge.encode()).hexdigest()[:4]}"


def mac_of(ip: ipaddress.IPv4Address) -> bytes:
    """Return the MAC of an address: locally administered, unique as the address is. Pure."""
    return b"\x0a\x58" + ip.packed


_ready_lock = threading.Lock()
_loaded: dict[tuple[str, Path], tuple[str, ...]] = {}  # tables that this process has loaded


@functools.cache
def warm() -> netlink.Socket:
    """Return the process's rtnetlink socket in the host's network namespace."""
    return netlink.Socket()


@functools.cache
def _elements(table: str) -> nft.Elements:
    return nft.Elements(table)


def _ready(chosen: Settings, gateway: ipaddress.IPv4Address, subnet: ipaddress.IPv4Network) -> int:
    """Make sure that bridge, rules and settings of the host are there; returns the bridge's index."""
    with _ready_lock:
        key = (chosen.bridge, chosen.data_dir)
        try:
            index = socket.if_nametoindex(chosen.bridge)
        except OSError:
            index = _make_bridge(chosen, gateway, subnet)
            _loaded.pop(key, None)
        if _loaded.get(key) != (str(subnet), *chosen.cluster):
            _prepare_host(chosen, index, gateway, subnet)
            _loaded[key] = (str(subnet), *chosen.cluster)
        return index


def _make_bridge(chosen: Settings, gateway: ipaddress.IPv4Address, subnet: ipaddress.IPv4Network) -> int:
    host.remember(chosen.data_dir, "bridges", chosen.bridge)
    with contextlib.suppress(FileExistsError):  # another process was faster
        warm().run(netlink.bridge(chosen.bridge, mac_of(gateway), chosen.mtu))
    return socket.if_nametoindex(chosen.bridge)


def _prepare_host(
    chosen: Settings, index: int, gateway: ipaddress.IPv4Address, subnet: ipaddress.IPv4Network
) -> None:
    own = f"conf/{chosen.bridge}"
    host.set_own_sysctl(f"net/ipv6/{own}/disable_ipv6", "1")  # no router advertisement from a Pod is heard
    host.set_own_sysctl(f"net/ipv4/{own}/send_redirects", "0")
    if chosen.is_gateway:
        interface = ipaddress.IPv4Interface(f"{gateway}/{subnet.prefixlen}")
        warm().run(netlink.address(index, interface))
        host.set_sysctl(chosen.data_dir, "net/ipv4/ip_forward", "1")
    if chosen.is_routed or chosen.masquerades:
        _load_table(chosen, gateway, subnet)


def _load_table(chosen: Settings, gateway: ipaddress.IPv4Address, subnet: ipaddress.IPv4Network) -> None:
    """Load rules, and the elements of all Pods that are attached: the table may be new."""
    table = masquerade.table_name(chosen.bridge)
    host.remember(chosen.data_dir, "tables", table)
    nft.load(
        masquerade.render(
            chosen.bridge,
            [str(subnet)],
            chosen.cluster,
            masquerades=chosen.masquerades,
            is_guarded=chosen.is_routed,
        )
    )
    elements = [_element(record) for _, record in chosen.records.all()]
    if elements and chosen.is_routed:
        _elements(table).add("pods", elements)
    if chosen.is_routed:
        host.remember(chosen.data_dir, "bridge_tables", table)
        ports = port_prefix(chosen.bridge)
        nft.load(masquerade.render_frames(chosen.bridge, ports, mac_of(gateway).hex(":"), str(gateway)))


def _configure_port(
    chosen: Settings,
    link: _Link,
    master: int,
    address: ipaddress.IPv4Interface,
    gateway: ipaddress.IPv4Address,
) -> None:
    """Tie a bridge port to its Pod: MAC by the bridge, IP by nftables and a fixed neighbour."""
    index = socket.if_nametoindex(link.host)
    if not chosen.is_routed:
        warm().run(netlink.bridge_port(index, {netlink.BRPORT_HAIRPIN: int(chosen.is_hairpin)}))
        return
    warm().run(
        netlink.bridge_port(index, _PORT_OF_POD),
        netlink.forwarding_entry(index, link.mac),
        netlink.neighbour(master, address.ip, link.mac),
    )
    table = masquerade.table_name(chosen.bridge)
    pod = [_element({"mac": link.mac_text, "ip": str(address.ip)})]
    try:
        _elements(table).add("pods", pod)
    except FileNotFoundError:  # someone deleted the table: it is made again, with all elements
        _load_table(chosen, gateway, address.network)


def _configure_inside(
    ifname: str,
    chosen: Settings,
    address: ipaddress.IPv4Interface,
    gateway: ipaddress.IPv4Address,
    leased: Json,
) -> None:
    """Configure the container's end. Runs in its network namespace."""
    index = socket.if_nametoindex(ifname)
    host.set_own_sysctl(f"net/ipv6/conf/{ifname}/accept_ra", "0")
    messages = [netlink.up(socket.if_nametoindex("lo"))]
    if chosen.is_routed:
        for which in ("all", ifname):
            host.set_own_sysctl(f"net/ipv4/conf/{which}/accept_redirects", "0")  # there are no short cuts
        messages += [netlink.address(index, ipaddress.IPv4Interface(f"{address.ip}/32")), netlink.up(index)]
        messages.append(netlink.route(index, ipaddress.IPv4Network(f"{gateway}/32")))
    else:
        messages += [netlink.address(index, address), netlink.up(index)]
    routes = [_route(index, each, gateway) for each in leased.get("routes") or []]
    if chosen.is_default_gateway:
        routes.append(netlink.route(index, _DEFAULT_ROUTE, gateway))
    with netlink.Socket() as rtnetlink:
        rtnetlink.run(*messages, *routes)


def _route(index: int, each: Json, gateway: ipaddress.IPv4Address) -> netlink.Message:
    via = ipaddress.IPv4Address(each["gw"]) if each.get("gw") else gateway
    return netlink.route(index, ipaddress.IPv4Network(each["dst"]), via)


def _forget(chosen: Settings, owner: Attachment) -> None:
    """Undo an attachment by its record, which goes last."""
    record = chosen.records.get(owner)
    if record is None:
        return
    if chosen.is_routed:
        with contextlib.suppress(FileNotFoundError):
            _elements(masquerade.table_name(chosen.bridge)).delete("pods", [_element(record)])
        with contextlib.suppress(OSError):
            index = socket.if_nametoindex(chosen.bridge)
            warm().run_if_exists(netlink.delete_neighbour(index, ipaddress.IPv4Address(record["ip"])))
    if chosen.deletes_link:
        warm().run_if_exists(netlink.delete_link(record["link"]))
    chosen.records.delete(owner)


def _element(record: dict[str, Any]) -> bytes:
    mac = bytes.fromhex(record["mac"].replace(":", ""))
    return nft.element(nft.concatenate(mac, socket.inet_aton(record["ip"])))


def _ipv4(leased: Json) -> tuple[ipaddress.IPv4Interface, ipaddress.IPv4Address]:
    """Pick the address and gateway of an IPAM result. Raises CniError for what is not IPv4."""
    ips = leased.get("ips") or []
    try:
        address = ipaddress.IPv4Interface(ips[0]["address"])
        gateway = ipaddress.IPv4Address(ips[0].get("gateway") or address.network[1])
    except (IndexError, KeyError, ValueError) as err:
        raise CniError(Code.INVALID_CONFIG, "ipam gave no IPv4 address", repr(err)) from err
    return address, gateway


def _address_of(ifname: str) -> str:
    """Return the IPv4 address of a link. Source: netdevice(7), SIOCGIFADDR."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe, _SIOCGIFADDR, ifname.encode().ljust(40, b"\0"))
    return socket.inet_ntoa(answer[20:24])


def _result(
    args: Args,
    chosen: Settings,
    link: _Link,
    address: ipaddress.IPv4Interface,
    gateway: ipaddress.IPv4Address,
    leased: Json,
) -> Json:
    shown = f"{address.ip}/32" if chosen.is_routed else str(address)
    routes = list(leased.get("routes") or [])
    if chosen.is_default_gateway and not any(each["dst"] == str(_DEFAULT_ROUTE) for each in routes):
        routes.append({"dst": str(_DEFAULT_ROUTE), "gw": str(gateway)})
    return {
        "interfaces": [
            {"name": chosen.bridge, "mac": mac_of(gateway).hex(":")},
            {"name": link.host},
            {"name": args.ifname, "mac": link.mac_text, "sandbox": args.netns},
        ],
        "ips": [{"address": shown, "gateway": str(gateway), "interface": 2}],
        "routes": routes,
        "dns": leased.get("dns") or {},
    }
