"""Forgets UDP flows that lead to endpoints of the past: nothing else ever ends them while the client goes on.

Source: pkg/proxy/conntrack/cleanup.go; the kernel's ip_conntrack netlink.
"""

import contextlib
import dataclasses
import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

from nanokube.proxy.forwards import Endpoint, Forwards

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


@dataclasses.dataclass(frozen=True, slots=True)
class Flow:
    """One entry: what the client addressed, who answers."""

    family: int
    source: str
    source_port: int
    target: str
    target_port: int
    answerer: Endpoint

    @property
    def is_translated(self) -> bool:
        return (self.target, self.target_port) != (self.answerer.ip, self.answerer.port)


Stale = Callable[[Flow], bool]


def needs_flush(before: Forwards, after: Forwards) -> bool:
    """Tell whether UDP flows may lead elsewhere than they should, now that a Service changed. Pure."""
    gone, new = set(_targets(before)) - set(_targets(after)), set(_addresses(after)) - set(_addresses(before))
    return bool(gone or new)


def stale(before: Forwards, after: Forwards) -> Stale:
    """Return what tells a flow of a Service that has no such endpoint any more. Pure.

    A flow that is not translated, though its address is a Service's now, is stale too: it began before it.
    """
    addresses = {*_addresses(before), *_addresses(after)}
    fresh: dict[tuple[str, int], set[Endpoint]] = {}
    for ip, port, endpoint in _targets(after):
        fresh.setdefault((ip, port), set()).add(endpoint)
    gone = {endpoint for _ip, _port, endpoint in _targets(before)}

    def is_stale(flow: Flow) -> bool:
        if (flow.target, flow.target_port) in addresses:
            return flow.answerer not in fresh.get((flow.target, flow.target_port), set())
        if ("", flow.target_port) in addresses and flow.is_translated:  # a NodePort: any address of the node
            return flow.answerer in gone and flow.answerer not in fresh.get(("", flow.target_port), set())
        return False

    return is_stale


def flush(is_stale: Iterable[Stale]) -> int:
    """Forget the flows that any of the tests finds stale; returns how many. Blocks."""
    tests, count = list(is_stale), 0
    for family in _FAMILIES:
        with NFCTSocket(nfgen_family=family) as conntrack:  # it asks for one family alone
            for flow in list(_flows(conntrack, family)):
                if any(test(flow) for test in tests):
                    with contextlib.suppress(NetlinkError):
                        conntrack.entry("del", tuple_orig=_tuple(flow))
                        count += 1
    return count


def _flows(conntrack: Any, family: int) -> Iterator[Flow]:
    wanted = NFCTAttrTuple(family=family, proto=socket.IPPROTO_UDP)
    try:
        entries = list(conntrack.dump(tuple_orig=wanted))
    except NetlinkError as err:
        if err.code in (errno.ENOENT, errno.EOPNOTSUPP):
            return
        raise
    for entry in entries:
        asked = NFCTAttrTuple.from_netlink(family, entry.get_attr("CTA_TUPLE_ORIG"))
        answered = NFCTAttrTuple.from_netlink(family, entry.get_attr("CTA_TUPLE_REPLY"))
        if asked.proto == socket.IPPROTO_UDP and asked.saddr is not None:
            yield Flow(
                family,
                asked.saddr,
                asked.sport,
                asked.daddr,
                asked.dport,
                Endpoint(answered.saddr, answered.sport),
            )


def _tuple(flow: Flow) -> Any:
    return NFCTAttrTuple(
        family=flow.family,
        saddr=flow.source,
        daddr=flow.target,
        proto=socket.IPPROTO_UDP,
        sport=flow.source_port,
        dport=flow.target_port,
    )


def _targets(wanted: Forwards) -> Iterator[tuple[str, int, Endpoint]]:
    for forward in wanted.forwards:
        if forward.protocol == "udp":
            for endpoint in (*forward.endpoints, *(forward.inside or ())):
                yield forward.ip, forward.port, endpoint


def _addresses(wanted: Forwards) -> Iterator[tuple[str, int]]:
    yield from ((each.ip, each.port) for each in wanted.forwards if each.protocol == "udp")
