"""portmap: host ports of containers, by nftables maps. Chained after a plugin that gives an address.

    map ports      protocol . port -> Pod's IP . port           any address of the host
    map ports_at   host IP . protocol . port -> IP . port       one address
    map loopback   protocol . port -> the gateway's address     ports reached at 127.0.0.1 too
    set returning  gateway . protocol . port                   the same, as their answers look
    set hairpin    Pod's IP . Pod's IP                          Pods that may reach themselves by a host port

127.0.0.1 works without `route_localnet`, which would open the host's loopback services to its neighbours
(CVE-2020-8558). A packet from 127.0.0.1 cannot be routed out of the host; so before connection tracking sees
it, its source becomes the gateway's address, and on the way back, after translation, its destination becomes
127.0.0.1 again. A client on the host that is bound to another address keeps it. The kernel goes on dropping
every packet with a loopback address that comes from a link.
Source: containernetworking/plugins, plugins/meta/portmap/README.md; nft(8).
"""

import errno
import functools
import ipaddress
import socket
import threading
from pathlib import Path
from typing import Any

from cni import host, nft
from cni.records import Records
from cni.skel import Args, Attachment, CniError, Code, Json, valid_attachments

TABLE = "nanokube-hostport"
_DATA_DIR = "/var/lib/cni"
_PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}
_ANY = ("", "0.0.0.0", "::")
_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")

SKELETON = f"""
add table ip {TABLE}
add map ip {TABLE} ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
add map ip {TABLE} ports_at {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
add map ip {TABLE} loopback {{ type inet_proto . inet_service : ipv4_addr; }}
add set ip {TABLE} returning {{ type ipv4_addr . inet_proto . inet_service; }}
add set ip {TABLE} hairpin {{ type ipv4_addr . ipv4_addr; }}
add chain ip {TABLE} leave_loopback {{ type route hook output priority raw; policy accept; }}
add chain ip {TABLE} enter_loopback {{ type filter hook input priority 110; policy accept; }}
add chain ip {TABLE} prerouting {{ type nat hook prerouting priority dstnat; policy accept; }}
add chain ip {TABLE} output {{ type nat hook output priority -100; policy accept; }}
add chain ip {TABLE} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
add chain ip {TABLE} translate
flush chain ip {TABLE} leave_loopback
flush chain ip {TABLE} enter_loopback
flush chain ip {TABLE} prerouting
flush chain ip {TABLE} output
flush chain ip {TABLE} postrouting
flush chain ip {TABLE} translate
add rule ip {TABLE} leave_loopback ip saddr {_LOOPBACK} ip daddr {_LOOPBACK} \
ip saddr set meta l4proto . th dport map @loopback
add rule ip {TABLE} enter_loopback ct status dnat ip saddr {_LOOPBACK} \
ip daddr . meta l4proto . th sport @returning ip daddr set 127.0.0.1
add rule ip {TABLE} prerouting fib daddr type local jump translate
add rule ip {TABLE} output fib daddr type local jump translate
add rule ip {TABLE} translate dnat ip to ip daddr . meta l4proto . th dport map @ports_at
add rule ip {TABLE} translate dnat ip to meta l4proto . th dport map @ports
add rule ip {TABLE} postrouting ct status dnat ip saddr . ip daddr @hairpin masquerade
"""


def add(args: Args) -> Json:
    """Map the host ports of `runtimeConfig.portMappings` to the address of the previous result."""
    previous = _previous(args)
    wanted = mappings(args.config)
    if not wanted:
        return previous
    records, owner = _records(args), Attachment(args.container_id, args.ifname)
    ip, gateway = _address(previous)
    elements = plan(wanted, ip, gateway)
    delete(args)
    _ready(_data_dir(args), records)
    records.put(owner, {"ip": str(ip), "gateway": str(gateway), "mappings": wanted})
    try:
        _apply(elements)
    except FileExistsError as err:
        records.delete(owner)
        taken = ", ".join(f"{item['hostPort']}/{item['protocol']}" for item in wanted)
        raise CniError(Code.INVALID_CONFIG, f"host port is taken, one of {taken}") from err
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
    records, valid = _records(args), valid_attachments(args.config)
    for owner, _ in list(records.all()):
        if owner not in valid:
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
        if host_ip not in _ANY and not _is_ipv4(host_ip):
            raise CniError(Code.INVALID_CONFIG, f"invalid host address {host_ip!r}: IPv4 only")
        found.append(
            {
                "hostPort": ports[0],
                "containerPort": ports[1],
                "protocol": protocol,
                "hostIP": "" if host_ip in _ANY else host_ip,
            }
        )
    return found


def plan(
    wanted: list[dict[str, Any]], ip: ipaddress.IPv4Address, gateway: ipaddress.IPv4Address
) -> dict[str, list[bytes]]:
    """Encode the elements that mappings need, by map or set. Pure."""
    names = ("ports", "ports_at", "loopback", "returning", "hairpin")
    elements: dict[str, list[bytes]] = {name: [] for name in names}
    for item in wanted:
        service = (bytes((_PROTOCOLS[item["protocol"]],)), _port(item["hostPort"]))
        target = nft.concatenate(ip.packed, _port(item["containerPort"]))
        if item["hostIP"]:
            at = ipaddress.IPv4Address(item["hostIP"])
            elements["ports_at"].append(nft.element(nft.concatenate(at.packed, *service), target))
        else:
            elements["ports"].append(nft.element(nft.concatenate(*service), target))
        if not item["hostIP"] or ipaddress.IPv4Address(item["hostIP"]) in _LOOPBACK:
            elements["loopback"].append(nft.element(nft.concatenate(*service), gateway.packed))
            elements["returning"].append(nft.element(nft.concatenate(gateway.packed, *service)))
    elements["hairpin"].append(nft.element(nft.concatenate(ip.packed, ip.packed)))
    return {name: listed for name, listed in elements.items() if listed}


_lock = threading.Lock()
_loaded: set[Path] = set()


@functools.cache
def _elements() -> nft.Elements:
    return nft.Elements(TABLE)


def _ready(data_dir: Path, records: Records) -> None:
    with _lock:
        if data_dir not in _loaded:
            _load(data_dir, records)
            _loaded.add(data_dir)


def _load(data_dir: Path, records: Records) -> None:
    """Load the rules, and the elements of what is recorded: the table may be new."""
    host.remember(data_dir, "tables", TABLE)
    nft.load(SKELETON)
    for _, record in records.all():
        for name, elements in _planned(record).items():
            _elements().add(name, elements)


def _apply(elements: dict[str, list[bytes]]) -> None:
    """Add elements; the maps of ports come first and must not hold them yet."""
    done: list[str] = []
    for name, listed in elements.items():
        try:
            _elements().add(name, listed, exclusive=name != "hairpin")
        except OSError:
            for earlier in done:
                _elements().delete(earlier, elements[earlier])
            raise
        done.append(name)


def _forget(records: Records, owner: Attachment) -> None:
    record = records.get(owner)
    if record is None:
        return
    for name, elements in _planned(record).items():
        for element in elements:
            try:
                _elements().delete(name, [element])
            except OSError as err:
                if err.errno != errno.ENOENT:
                    raise
    records.delete(owner)


def _planned(record: dict[str, Any]) -> dict[str, list[bytes]]:
    ip, gateway = ipaddress.IPv4Address(record["ip"]), ipaddress.IPv4Address(record["gateway"])
    return plan(record["mappings"], ip, gateway)


def _previous(args: Args) -> Json:
    previous = args.config.get("prevResult")
    if not isinstance(previous, dict):
        raise CniError(Code.INVALID_CONFIG, "portmap must follow a plugin that gives an address")
    return previous


def _address(previous: Json) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    for item in previous.get("ips") or []:
        interface = ipaddress.ip_interface(item["address"])
        if isinstance(interface, ipaddress.IPv4Interface):
            return interface.ip, ipaddress.IPv4Address(item.get("gateway") or interface.network[1])
    raise CniError(Code.INVALID_CONFIG, "previous result has no IPv4 address")


def _data_dir(args: Args) -> Path:
    return Path(args.config.get("dataDir") or _DATA_DIR)


def _records(args: Args) -> Records:
    return Records(_data_dir(args) / "portmap")


def _port(number: int) -> bytes:
    return number.to_bytes(2, "big")


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
