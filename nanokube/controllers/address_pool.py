"""The addresses that Services of type LoadBalancer are given: what a setting says. Pure.

Apart from the controller, for every command reads settings and few need a client of the API.
"""

import dataclasses
import ipaddress
from collections.abc import Iterator
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclasses.dataclass(frozen=True, slots=True)
class Pool:
    """Ranges of addresses, both ends included."""

    ranges: tuple[tuple[Address, Address], ...] = ()

    def __contains__(self, address: Address) -> bool:
        return any(
            first.version == address.version and int(first) <= int(address) <= int(last)
            for first, last in self.ranges
        )

    def addresses(self, version: int) -> Iterator[Address]:
        """Yield all of one family, in order."""
        for first, last in self.ranges:
            if first.version == version:
                yield from (type(first)(number) for number in range(int(first), int(last) + 1))


def parse(text: str) -> Pool:
    """Read `192.0.2.200-192.0.2.220,198.51.100.7,fd00::/120`. Raises ValueError that names the part.

    >>> len(list(parse("192.0.2.4/30, 192.0.2.9-192.0.2.10").addresses(4)))
    6
    """
    ranges = []
    for part in (each.strip() for each in text.split(",") if each.strip()):
        first, dash, last = (each.strip() for each in part.partition("-"))
        if dash:
            ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
        else:
            network = ipaddress.ip_network(part)
            ends = network[0], network[-1]
        if ends[0].version != ends[1].version or int(ends[0]) > int(ends[1]):
            raise ValueError(f"{part!r} is no range")
        ranges.append(ends)
    return Pool(tuple(ranges))
