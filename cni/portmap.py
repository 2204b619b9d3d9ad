"""portmap: host ports of containers, by nftables maps. Chained after a plugin that gives an address.

A table of each family that Pods have:

    map ports      protocol . port -> Pod's IP . port           any address of the host
    map ports_at   host IP . protocol . port -> IP . port       one address
    map loopback   protocol . port -> the gateway's address     ports reached at 127.0.0.1 too
    set returning  gateway . protocol . port                   the same, as their answers look
    set hairpin    Pod's IP . Pod's IP                          Pods that may reach themselves by a host port

127.0.0.1 works without `route_localnet`, which would open the host's loopback services to its neighbours
(CVE-2020-8558). A packet from 127.0.0.1 cannot be routed out of the host; so before connection tracking sees
it, its source becomes the gateway's address, and on the way back, after translation, its destination becomes
127.0.0.1 again. A client on the host that is bound to another address keeps it. The kernel goes on dropping
every packet with a loopback address that comes from a link. The same holds for ::1.
Source: containernetworking/plugins, plugins/meta/portmap/README.md; nft(8).
"""

import dataclasses
import errno
import functools
import ipaddress
import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cni import host, netlink, nft
from cni.records import Records
from cni.skel import Args, Attachment, CniError, Code, Json

TABLE = "nanokube-hostport"
_DATA_DIR = "/var/lib/cni"
_PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}
# Host addresses that stand for all of a family; none stands for all of both.
_ANY = {"0.0.0.0": 4, "::": 6}
_LOOPBACK = {4: ipaddress.ip_network("127.0.0.0/8"), 6: ipaddress.ip_network("::1/128")}
_LOOPBACK_ADDRESS = {4: "127.0.0.1", 6: "::1"}
_FAMILIES = {4: "ip", 6: "ip6"}
_NAMED_MAX = 20  # ports in a message


def skeleton(version: int) -> str:
    """Write the table of one IP version. Pure."""
    family = _FAMILIES[version]
    table, address = f"{family} {TABLE}", f"ipv{version}_addr"
    own, at = _LOOPBACK[version], _LOOPBACK_ADDRESS[version]
    return f"""
add table {table}
add map {table} ports {{ type inet_proto . inet_service : {address} . inet_service; }}
add map {table} ports_at {{ type {address} . inet_proto . inet_service : {address} . inet_service; }}
add map {table} loopback {{ type inet_proto . inet_service : {address}; }}
add set {table} returning {{ type {address} . inet_proto . inet_service; }}
add set {table} hairpin {{ type {address} . {address}; }}
add chain {table} leave_loopback {{ type route hook output priority raw; policy accept; }}
add chain {table} enter_loopback {{ type filter hook input priority 110; policy accept; }}
add chain {table} prerouting {{ type nat hook prerouting priority dstnat; policy accept; }}
add chain {table} output {{ type nat hook output priority -100; policy accept; }}
add chain {table} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
add chain {table} translate
flush chain {table} leave_loopback
flush chain {table} enter_loopback
flush chain {table} prerouting
flush chain {table} output
flush chain {table} postrouting
flush chain {table} translate
add rule {table} leave_loopback {family} saddr {own} {family} daddr {own} \
{family} saddr set meta l4proto . th dport map @loopback
add rule {table} enter_loopback ct status dnat {family} saddr {own} \
{family} daddr . meta l4proto . th sport @returning {family} daddr set {at}
add rule {table} prerouting fib daddr type local jump translate
add rule {table} output fib daddr type local jump translate
add rule {table} translate dnat {family} to {family} daddr . meta l4proto . th dport map @ports_at
add rule {table} translate dnat {family} to meta l4proto . th dport map @ports
add rule {table} postrouting ct status dnat {family} saddr . {family} daddr @hairpin masquerade
"""


def add(args: Args) -> Json:
    """Map the host ports of `runtimeConfig.portMappings` to the address of the previous result."""
    previous = _previous(args)
    wanted = mappings(args.config)
    if not wanted:
        return previous
    records, owner = _records(args), Attachment(args.container_id, args.ifname)
    targets = _targets(previous)
    planned: Planned = {each.ip.version: plan(wanted, each) for each in targets}
    delete(args)
    _ready(_data_dir(args), records, planned)
    ips = [[str(each.ip), str(each.gateway)] for each in targets]
    records.put(owner, {"ips": ips, "mappings": wanted})
    try:
        _apply(planned)
    except FileExistsError as err:
        records.delete(owner)
        raise CniError(Code.INVALID_CONFIG, f"host port is taken, one of {_names(wanted)}") from err
    return previous


def delete(args: Args) -> None:
    """Unmap. Idempotent: a record tells what there was."""
    _forget(_records(args), Attachment(args.container_id, args.ifname))


def check(args: Args) -> None:
    """Fail if ports are wanted that are not mapped."""
    wanted = mappings(args.config)
    record = _records(args).get(Attachment(args.container_id, args.ifname))
    if wanted and (record is None or record["mappings"] != wanted):
        raise CniError(Code.CHECK_FAILED, f"host ports of {args.container_id} are not mapped")


def gc(args: Args) -> None:
    """Unmap what belongs to attachments that are not valid any more."""
    records = _records(args)
    for owner in records.stale(args.config):
        _forget(records, owner)


def status(args: Args) -> None:
    """Always ready: tables are made when they are needed."""


def mappings(config: Json) -> list[dict[str, Any]]:
    """Read and check the mappings that name a host port. Pure. Raises CniError."""
    runtime = config.get("runtimeConfig")
    listed = runtime.get("portMappings") if isinstance(runtime, dict) else None
    found = []
    for item in listed or []:
        if not item.get("hostPort"):
            continue
        protocol = str(item.get("protocol") or "tcp").lower()
        ports = (item["hostPort"], item.get("containerPort"))
        if protocol not in _PROTOCOLS or not all(isinstance(p, int) and 0 < p < 65536 for p in ports):
            raise CniError(Code.INVALID_CONFIG, f"invalid port mapping {item!r}"[:200])
        host_ip = str(item.get("hostIP") or "")
        if host_ip and not _is_address(host_ip):
            raise CniError(Code.INVALID_CONFIG, f"invalid host address {host_ip!r}")
        found.append(
            {
                "hostPort": ports[0],
                "containerPort": ports[1],
                "protocol": protocol,
                "hostIP": host_ip,
            }
        )
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A Pod's address of one family, and the gateway that it sees."""

    ip: netlink.Address
    gateway: netlink.Address


def plan(wanted: Sequence[Json], target: Target) -> dict[str, list[bytes]]:
    """Encode the elements that mappings need in the table of a target's family, by map or set. Pure."""
    names = ("ports", "ports_at", "loopback", "returning", "hairpin")
    elements: dict[str, list[bytes]] = {name: [] for name in names}
    ip, gateway, version = target.ip.packed, target.gateway.packed, target.ip.version
    for item in wanted:
        at = ipaddress.ip_address(item["hostIP"]) if item["hostIP"] else None
        if at is not None and at.version != version:
            continue
        is_any = at is None or str(at) in _ANY
        service = (bytes((_PROTOCOLS[item["protocol"]],)), _port(item["hostPort"]))
        leads_to = nft.concatenate(ip, _port(item["containerPort"]))
        if at is not None and not is_any:
            elements["ports_at"].append(nft.element(nft.concatenate(at.packed, *service), leads_to))
        else:
            elements["ports"].append(nft.element(nft.concatenate(*service), leads_to))
        if is_any or at in _LOOPBACK[version]:
            elements["loopback"].append(nft.element(nft.concatenate(*service), gateway))
            elements["returning"].append(nft.element(nft.concatenate(gateway, *service)))
    if elements["ports"] or elements["ports_at"]:
        elements["hairpin"].append(nft.element(nft.concatenate(ip, ip)))
    return {name: listed for name, listed in elements.items() if listed}


Planned = Mapping[int, Mapping[str, list[bytes]]]  # by IP version, by map or set

_lock = threading.Lock()
_loaded: set[tuple[Path, int]] = set()


@functools.cache
def _elements(version: int) -> nft.Elements:
    return nft.Elements(TABLE, _FAMILIES[version])


def _ready(data_dir: Path, records: Records, versions: Iterable[int]) -> None:
    with _lock:
        for version in versions:
            if (data_dir, version) not in _loaded:
                _load(data_dir, records, version)
                _loaded.add((data_dir, version))


def _load(data_dir: Path, records: Records, version: int) -> None:
    """Load the rules, and the elements of what is recorded: the table may be new."""
    host.remember(data_dir, "tables" if version == 4 else "tables6", TABLE)
    nft.load(skeleton(version))
    for _, record in records.all():
        if planned := _planned(record).get(version):
            _elements(version).add_all(planned)


def _apply(planned: Planned) -> None:
    """Add elements; the maps of ports must not hold theirs yet. All or none."""
    done: list[int] = []
    for version, elements in planned.items():
        try:
            _elements(version).add_all(elements, exclusive=elements.keys() - {"hairpin"})
        except OSError:
            for earlier in done:
                _elements(earlier).discard_all(planned[earlier])
            raise
        done.append(version)


def _forget(records: Records, owner: Attachment) -> None:
    record = records.get(owner)
    if record is None:
        return
    for target in _recorded_targets(record):
        _unmap(record["mappings"], target)
    records.delete(owner)


def _unmap(mappings: Sequence[Json], target: Target) -> None:
    """Delete the elements of mappings at once; of halves, where a port is another Pod's now.

    A crash between the record and the elements leaves such a record.
    """
    try:
        _elements(target.ip.version).discard_all(plan(mappings, target))
    except OSError as err:
        if err.errno == errno.ENOENT:  # no such table
            return
        if err.errno not in (errno.EEXIST, errno.EBUSY):
            raise
        middle = len(mappings) // 2
        for half in (mappings[:middle], mappings[middle:]) if middle else ():
            _unmap(half, target)


def _planned(record: dict[str, Any]) -> Planned:
    """Plan what is recorded."""
    return {each.ip.version: plan(record["mappings"], each) for each in _recorded_targets(record)}


def _recorded_targets(record: dict[str, Any]) -> list[Target]:
    """Return the addresses of a record; what earlier versions recorded has one."""
    pairs = record["ips"] if "ips" in record else [[record["ip"], record["gateway"]]]
    return [Target(ipaddress.ip_address(ip), ipaddress.ip_address(gateway)) for ip, gateway in pairs]


def _names(wanted: Sequence[Json]) -> str:
    """Name ports for a message, the first ones of many."""
    named = [f"{item['hostPort']}/{item['protocol']}" for item in wanted[:_NAMED_MAX]]
    rest = len(wanted) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _previous(args: Args) -> Json:
    previous = args.config.get("prevResult")
    if not isinstance(previous, dict):
        raise CniError(Code.INVALID_CONFIG, "portmap must follow a plugin that gives an address")
    return previous


def _targets(previous: Json) -> list[Target]:
    """Return the first address of each family of a result. Raises CniError if there is none."""
    found: dict[int, Target] = {}
    for item in previous.get("ips") or []:
        interface = ipaddress.ip_interface(item["address"])
        gateway = ipaddress.ip_address(item.get("gateway") or interface.network[1])
        found.setdefault(interface.version, Target(interface.ip, gateway))
    if not found:
        raise CniError(Code.INVALID_CONFIG, "previous result has no address")
    return list(found.values())


def _data_dir(args: Args) -> Path:
    return Path(args.config.get("dataDir") or _DATA_DIR)


def _records(args: Args) -> Records:
    return Records(_data_dir(args) / "portmap")


def _port(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
