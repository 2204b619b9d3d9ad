"""Network links as the kernel tells of them, and the largest packets they are given: rtnetlink by hand.

By hand, because every Pod's start is told of and must cost next to nothing, because links of other namespaces
are asked from threads that enter them, and because pyroute2 does not know these attributes.
Source: rtnetlink(7), include/uapi/linux/{rtnetlink,if_link,net_namespace}.h.
"""

import dataclasses
import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Self

_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 1, 4, 0x300
_NLM_F_EXCL, _NLM_F_CREATE = 0x200, 0x400
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_NEWNSID, _RTM_GETNSID = 24, 25, 88, 90
_RTMGRP_LINK = 1
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_EXT_MASK, _IFLA_LINK_NETNSID = 3, 4, 5, 10, 29, 37
_IFLA_LINKINFO, _IFLA_INFO_KIND = 18, 1
_IFLA_GSO_MAX_SIZE, _IFLA_TSO_MAX_SIZE, _IFLA_GSO_IPV4_MAX_SIZE = 41, 59, 63
_RTEXT_FILTER_SKIP_STATS = 8
_IFF_LOWER_UP = 1 << 16  # include/uapi/linux/if.h
_NETNSA_NSID, _NETNSA_FD = 1, 3
_RTA_DST, _RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_BLACKHOLE = 1, 254, 4, 6
# Nobody's: the dummy address (RFC 7600, 4.8) and the first of the discard-only prefix (RFC 6666).
_NOWHERE = {socket.AF_INET: "192.0.0.8", socket.AF_INET6: "100::"}

# GSO_LEGACY_MAX_SIZE, include/linux/netdevice.h: what any link is given, and what none needs to go below.
DEFAULT_BYTES = 65536


@dataclasses.dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the largest packet that a link is given for TCP to be cut, by IP version."""

    ipv4: int = DEFAULT_BYTES
    ipv6: int = DEFAULT_BYTES

    def at_most(self, other: "Sizes") -> "Sizes":
        return Sizes(min(self.ipv4, other.ipv4), min(self.ipv6, other.ipv6))


DEFAULT = Sizes()


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """A link of this namespace.

    below: the index of the link that it is upon, or of its other end; master: of that which it is a port of.
    peer_space: the kernel's number for the namespace that below is in; None if that is this one.
    cap: the most that the driver takes, of any version. kind: its driver, as `bridge`.
    """

    index: int
    name: str
    is_up: bool
    sizes: Sizes
    cap: int = DEFAULT_BYTES
    below: int | None = None
    peer_space: int | None = None
    master: int | None = None
    kind: str = ""
    mtu: int = 0

    def fitted(self, wanted: Sizes) -> Sizes:
        """Return what of the wanted sizes the link can have."""
        return wanted.at_most(Sizes(self.cap, self.cap))


class Socket:
    """An rtnetlink socket in the namespace of the thread that makes it. Blocks; raises OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def links(self) -> list[Link]:
        """Return all links of the namespace."""
        body = _head() + _attribute(_IFLA_EXT_MASK, struct.pack("=I", _RTEXT_FILTER_SKIP_STATS))
        return [
            parse(each) for kind, each in self._ask(_RTM_GETLINK, _NLM_F_DUMP, body) if kind == _RTM_NEWLINK
        ]

    def widen(self, name: str, wanted: Sizes) -> None:
        """Give a link that is there limits as far as its driver takes them."""
        for each in self.links():
            if each.name == name:
                self.fit(each.index, each.fitted(wanted))

    def fit(self, index: int, wanted: Sizes) -> None:
        """Give a link its limits. Older kernels pass over those that they do not know."""
        limits = ((_IFLA_GSO_MAX_SIZE, wanted.ipv6), (_IFLA_GSO_IPV4_MAX_SIZE, wanted.ipv4))
        body = b"".join(_attribute(kind, struct.pack("=I", value)) for kind, value in limits)
        self._ask(_RTM_NEWLINK, _NLM_F_ACK, _head(index) + body)

    def space(self, fd: int) -> int:
        """Return the number that this namespace has for the network namespace of fd; -1 if none."""
        body = struct.pack("=Bxxx", socket.AF_UNSPEC) + _attribute(_NETNSA_FD, struct.pack("=I", fd))
        for kind, each in self._ask(_RTM_GETNSID, 0, body):
            if kind == _RTM_NEWNSID:
                return int(struct.unpack("=i", dict(_attributes(each[4:]))[_NETNSA_NSID])[0])
        return -1

    def forget_ways(self) -> None:
        """Have open connections ask their link's limits anew, as they do after any change of a route."""
        for family, address in _NOWHERE.items():
            destination = socket.inet_pton(family, address)
            head = (family, len(destination) * 8, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, 0, _RTN_BLACKHOLE, 0)
            body = struct.pack("=BBBBBBBBI", *head) + _attribute(_RTA_DST, destination)
            try:
                self._ask(_RTM_NEWROUTE, _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_EXCL, body)
            except OSError:  # no IPv6 there, or somebody has such a route
                continue
            self._ask(_RTM_DELROUTE, _NLM_F_ACK, body)

    def _ask(self, kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, flags | _NLM_F_REQUEST, 1, 0) + body)
        found: list[tuple[int, bytes]] = []
        while True:
            for answer, payload in _messages(self._socket.recv(1 << 18)):
                if answer == _NLMSG_ERROR and (code := -struct.unpack_from("=i", payload)[0]):
                    raise OSError(code, os.strerror(code))
                if answer in (_NLMSG_ERROR, _NLMSG_DONE):
                    return found
                found.append((answer, payload))
            if not flags & (_NLM_F_DUMP | _NLM_F_ACK):
                return found


class Events:
    """What changes of links of this namespace, for who waits until fileno() is readable."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, 0)
        self._socket.bind((0, _RTMGRP_LINK))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> list[Link | None]:
        """Return changed links; one that is gone as if without carrier, None in place of what was lost."""
        found: list[Link | None] = []
        try:
            while True:
                for kind, payload in _messages(self._socket.recv(1 << 16)):
                    if kind in (_RTM_NEWLINK, _RTM_DELLINK) and payload[0] == socket.AF_UNSPEC:
                        link = parse(payload)
                        found.append(dataclasses.replace(link, is_up=link.is_up and kind == _RTM_NEWLINK))
        except BlockingIOError:
            return found
        except OSError as err:
            if err.errno != errno.ENOBUFS:
                raise
            return [*found, None]


def parse(payload: bytes) -> Link:
    """Read a link as the kernel describes it (struct ifinfomsg, then attributes). Pure."""
    index, flags = struct.unpack_from("=iI", payload, 4)
    held = dict(_attributes(payload[16:]))

    info = dict(_attributes(held.get(_IFLA_LINKINFO, b"")))

    def number(kind: int) -> int | None:
        data = held.get(kind)
        return None if data is None else int(struct.unpack("=i", data)[0])

    return Link(
        index=index,
        name=_text(held.get(_IFLA_IFNAME)),
        is_up=bool(flags & _IFF_LOWER_UP),
        sizes=Sizes(
            number(_IFLA_GSO_IPV4_MAX_SIZE) or DEFAULT_BYTES, number(_IFLA_GSO_MAX_SIZE) or DEFAULT_BYTES
        ),
        cap=number(_IFLA_TSO_MAX_SIZE) or DEFAULT_BYTES,
        below=number(_IFLA_LINK) or None,
        peer_space=number(_IFLA_LINK_NETNSID),
        master=number(_IFLA_MASTER),
        kind=_text(info.get(_IFLA_INFO_KIND)),
        mtu=number(_IFLA_MTU) or 0,
    )


def _text(data: bytes | None) -> str:
    return (data or b"").rstrip(b"\0").decode(errors="replace")


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if length < 16:
            return
        yield kind, data[at + 16 : at + length]
        at += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]  # without NLA_F_NESTED, NLA_F_NET_BYTEORDER
        at += (length + 3) & ~3


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) & 3)


def _head(index: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, 0, 0)
