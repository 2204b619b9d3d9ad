"""rtnetlink messages as bytes, many in one send: the few that a Pod's network needs. Encoding is pure.

Written by hand because one warm socket and pre-encoded messages make a Pod's network in about a millisecond,
where a general library takes seven. Source: rtnetlink(7), include/uapi/linux/{netlink,rtnetlink,if_link,
neighbour}.h; the numbers below are theirs.
"""

import errno
import ipaddress
import os
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Self, TypeAlias

NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 1, 4, 0x100, 0x200, 0x400
NLMSG_ERROR = 2
_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 17, 20, 24
_RTM_NEWNEIGH, _RTM_DELNEIGH = 28, 29
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
_IFLA_AF_SPEC, _IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES = 26, 31, 32
_IFLA_INET_CONF, _IFLA_INET6_ADDR_GEN_MODE, _IN6_ADDR_GEN_MODE_NONE = 1, 8, 1
# include/uapi/linux/ip.h: IPV4_DEVCONF_FORWARDING, _ACCEPT_REDIRECTS, _SEND_REDIRECTS
_ROUTED = {1: 1, 4: 0, 6: 0}
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _IFLA_INFO_SLAVE_KIND, _IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_INFO_PEER = 1
BRPORT_HAIRPIN, BRPORT_LEARNING, BRPORT_UNICAST_FLOOD, BRPORT_LOCKED = 4, 8, 9, 39
BRPORT_MULTICAST_FLOOD, BRPORT_BROADCAST_FLOOD = 27, 30
_IFA_ADDRESS, _IFA_LOCAL, _IFA_F_NODAD = 1, 2, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_NOARP, _NUD_PERMANENT, _NTF_MASTER = 0x40, 0x80, 0x04
_RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RTN_UNICAST = 254, 3, 0, 253, 1
_IFF_UP, _IFF_NOARP = 1, 0x80
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_NLM_F_ACK_TLVS, _NLMSGERR_ATTR_MSG = 0x200, 1
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_NAME_BYTES_MAX = 16  # IFNAMSIZ, include/uapi/linux/if.h
_PAYLOAD_BYTES_MAX = 0xFFFF - 4  # an attribute's length field has 16 bits; never let it wrap (CVE-2021-43784)

Message = tuple[int, int, bytes]  # type, flags, body
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def attribute(kind: int, data: bytes) -> bytes:
    """Encode one attribute, padded to 4 bytes. Raises ValueError when it is too long for its length field."""
    if len(data) > _PAYLOAD_BYTES_MAX:
        raise ValueError(f"cannot encode netlink attribute: {len(data)} bytes")
    return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) & 3)


def veth(
    host: str, peer: str, *, peer_ns: int, peer_mac: bytes, mtu: int, master: int = 0, host_mac: bytes = b""
) -> Message:
    """Make a veth pair, the peer in the namespace of peer_ns.

    The host end is up and on bridge master, or without one still down.
    """
    queues = attribute(_IFLA_NUM_TX_QUEUES, _u32(1)) + attribute(_IFLA_NUM_RX_QUEUES, _u32(1))
    size = attribute(_IFLA_MTU, _u32(mtu)) if mtu else b""
    inside = (
        _link()
        + attribute(_IFLA_IFNAME, _name(peer))
        + attribute(_IFLA_NET_NS_FD, _u32(peer_ns))
        + attribute(_IFLA_ADDRESS, peer_mac)
        + size
        + queues
    )
    data = attribute(_VETH_INFO_PEER, inside)
    info = attribute(_IFLA_INFO_KIND, b"veth\0") + attribute(_IFLA_INFO_DATA, data)
    body = (
        _link(flags=_IFF_UP if master else 0)
        + attribute(_IFLA_IFNAME, _name(host))
        + (attribute(_IFLA_ADDRESS, host_mac) if host_mac else b"")
        + size
        + queues
        + (attribute(_IFLA_MASTER, _u32(master)) if master else b"")
        + attribute(_IFLA_LINKINFO, info)
    )
    return _RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body


def bridge(name: str, mac: bytes, mtu: int) -> Message:
    """Make a bridge that is up."""
    body = (
        _link(flags=_IFF_UP)
        + attribute(_IFLA_IFNAME, _name(name))
        + attribute(_IFLA_ADDRESS, mac)
        + (attribute(_IFLA_MTU, _u32(mtu)) if mtu else b"")
        + attribute(_IFLA_LINKINFO, attribute(_IFLA_INFO_KIND, b"bridge\0"))
    )
    return _RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body


def bridge_port(index: int, options: dict[int, int]) -> Message:
    """Set BRPORT_ options of a link that is on a bridge."""
    data = b"".join(attribute(kind, bytes((value,))) for kind, value in options.items())
    info = attribute(_IFLA_INFO_SLAVE_KIND, b"bridge\0") + attribute(_IFLA_INFO_SLAVE_DATA, data)
    return _RTM_NEWLINK, 0, _link(index) + attribute(_IFLA_LINKINFO, info)


def up(index: int) -> Message:
    return _RTM_NEWLINK, 0, _link(index, flags=_IFF_UP)


def routed(index: int, *, has_ipv6: bool) -> list[Message]:
    """Bring up a link that packets are routed to, without ARP; it makes itself no link-local address.

    has_ipv6: whether the kernel knows IPv6 on it, which it must not be told about else.
    """
    settings = b"".join(attribute(kind, _u32(value)) for kind, value in _ROUTED.items())
    families = attribute(socket.AF_INET, attribute(_IFLA_INET_CONF, settings))
    if has_ipv6:
        mode = attribute(_IFLA_INET6_ADDR_GEN_MODE, bytes((_IN6_ADDR_GEN_MODE_NONE,)))
        families += attribute(socket.AF_INET6, mode)
    # Two messages: of one the kernel would heed the flags first (net/core/rtnetlink.c, do_setlink).
    return [
        (_RTM_NEWLINK, 0, _link(index) + attribute(_IFLA_AF_SPEC, families)),
        (_RTM_NEWLINK, 0, _link(index, flags=_IFF_UP | _IFF_NOARP)),
    ]


def delete_link(name: str) -> Message:
    return _RTM_DELLINK, 0, _link() + attribute(_IFLA_IFNAME, _name(name))


def address(index: int, interface: Interface) -> Message:
    """Give a link an address. One of IPv6 is used at once: who gives it knows that no neighbour has it."""
    flags = _IFA_F_NODAD if interface.version == 6 else 0
    head = struct.pack("=BBBBI", _FAMILIES[interface.version], interface.network.prefixlen, flags, 0, index)
    body = head + attribute(_IFA_LOCAL, interface.ip.packed) + attribute(_IFA_ADDRESS, interface.ip.packed)
    return _RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body


def route(
    index: int,
    destination: Network,
    gateway: Address | None = None,
    *,
    source: Address | None = None,
    protocol: int = _RTPROT_BOOT,
) -> Message:
    """Add a route in the main table; without a gateway the destination is on the link.

    source: what the host's own packets come from. protocol: tells whose route it is.
    """
    scope = _RT_SCOPE_UNIVERSE if gateway else _RT_SCOPE_LINK
    family = _FAMILIES[destination.version]
    head = (family, destination.prefixlen, 0, 0, _RT_TABLE_MAIN, protocol, scope, _RTN_UNICAST, 0)
    body = struct.pack("=BBBBBBBBI", *head) + attribute(_RTA_OIF, _u32(index))
    if destination.prefixlen:
        body += attribute(_RTA_DST, destination.network_address.packed)
    if gateway:
        body += attribute(_RTA_GATEWAY, gateway.packed)
    if source:
        body += attribute(_RTA_PREFSRC, source.packed)
    return _RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body


def neighbour(index: int, ip: Address, mac: bytes) -> Message:
    """Pin an address to a MAC: no neighbour's answer changes it."""
    head = struct.pack("=BxxxiHBB", _FAMILIES[ip.version], index, _NUD_PERMANENT, 0, 0)
    body = head + attribute(_NDA_DST, ip.packed) + attribute(_NDA_LLADDR, mac)
    return _RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body


def delete_neighbour(index: int, ip: Address) -> Message:
    head = struct.pack("=BxxxiHBB", _FAMILIES[ip.version], index, 0, 0, 0)
    return _RTM_DELNEIGH, 0, head + attribute(_NDA_DST, ip.packed)


def forwarding_entry(index: int, mac: bytes) -> Message:
    """Pin a MAC to a bridge port."""
    head = struct.pack("=BxxxiHBB", socket.AF_BRIDGE, index, _NUD_NOARP, _NTF_MASTER, 0)
    return _RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, head + attribute(_NDA_LLADDR, mac)


def pack(messages: Sequence[Message], sequence: int) -> bytes:
    """Frame messages that each want an acknowledgement, numbered from sequence."""
    out = b""
    for number, (kind, flags, body) in enumerate(messages, sequence):
        out += (
            struct.pack("=IHHII", 16 + len(body), kind, flags | NLM_F_REQUEST | NLM_F_ACK, number, 0) + body
        )
    return out


def acknowledgements(data: bytes) -> list[tuple[int, int, str]]:
    """Read (sequence, errno, kernel's message) of the acknowledgements in one datagram."""
    found, at = [], 0
    while at + 16 <= len(data):
        length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data, at)
        if length < 16:
            break
        if kind == NLMSG_ERROR:
            (code,) = struct.unpack_from("=i", data, at + 16)
            text = _extended_text(data[at + 36 : at + length]) if flags & _NLM_F_ACK_TLVS else ""
            found.append((sequence, -code, text))
        at += (length + 3) & ~3
    return found


class Socket:
    """An rtnetlink socket in the namespace of the thread that makes it. Thread-safe."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.bind((0, 0))
        self._sequence = 1
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def run(self, *messages: Message) -> None:
        """Send messages at once; raises OSError for the first that failed. The others took effect."""
        with self._lock:
            first = self._sequence
            self._sequence += len(messages)
            self._socket.send(pack(messages, first))
            waiting = len(messages)
            failure: OSError | None = None
            while waiting:
                for sequence, code, text in acknowledgements(self._socket.recv(1 << 16)):
                    if sequence < first:
                        continue
                    waiting -= 1
                    if code and failure is None:
                        failure = OSError(code, text or os.strerror(code))
        if failure is not None:
            raise failure

    def run_if_exists(self, *messages: Message) -> None:
        """Send messages one by one; what they are about may be gone already."""
        for message in messages:
            try:
                self.run(message)
            except OSError as err:
                if err.errno not in (errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.ENXIO):
                    raise


def _extended_text(attributes: bytes) -> str:
    at = 0
    while at + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, at)
        if kind == _NLMSGERR_ATTR_MSG:
            return attributes[at + 4 : at + length].rstrip(b"\0").decode(errors="replace")
        at += max((length + 3) & ~3, 4)
    return ""


def _link(index: int = 0, *, flags: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, flags, flags)


def _name(name: str) -> bytes:
    encoded = name.encode() + b"\0"
    if len(encoded) > _NAME_BYTES_MAX:
        raise ValueError(f"cannot use {name!r} as an interface name: too long")
    return encoded


def _u32(value: int) -> bytes:
    return struct.pack("=I", value)
