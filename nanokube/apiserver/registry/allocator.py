"""Sets of numbers handed out one by one: cluster IPs and node ports. Pure; randomness is passed in.

A range has two bands. What clients choose themselves is best taken from the lower one, so automatic choices
come from the upper one while it lasts.
Source: KEP-3070, KEP-3668; pkg/registry/core/service/{ipallocator,portallocator}.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable


class Full(Exception):
    """Nothing is left."""


class NotInRange(Exception):
    """The number asked for is outside."""


class Taken(Exception):
    """The number asked for is allocated."""


class Allocator:
    """Numbers first to last, both included. choose(n) draws from 0 to n-1; taken: shared with others."""

    def __init__(
        self,
        first: int,
        last: int,
        lower_band: int,
        choose: Callable[[int], int],
        taken: set[int] | None = None,
    ) -> None:
        self._first, self._last = first, last
        self._middle = min(first + lower_band, last)
        self._choose = choose
        self._taken: set[int] = set() if taken is None else taken

    def __contains__(self, number: int) -> bool:
        return number in self._taken

    def take(self, number: int) -> None:
        """Allocate one number. Raises NotInRange, Taken."""
        if not self._first <= number <= self._last:
            raise NotInRange
        if number in self._taken:
            raise Taken
        self._taken.add(number)

    def take_any(self) -> int:
        """Allocate any number. Raises Full."""
        for first, last in ((self._middle, self._last), (self._first, self._middle - 1)):
            size = last - first + 1
            if size <= 0:
                continue
            start = self._choose(size)
            for step in range(size):
                number = first + (start + step) % size
                if number not in self._taken:
                    self._taken.add(number)
                    return number
        raise Full

    def release(self, number: int) -> None:
        """Give one number back; twice is no error."""
        self._taken.discard(number)


def for_network(cidr: str, choose: Callable[[int], int], taken: set[int] | None = None) -> Allocator:
    """Make the allocator of a service network: without its first address, and IPv4's last, its broadcast."""
    network = ipaddress.ip_network(cidr)
    size = network.num_addresses
    band = 0 if size <= 16 else min(max(16, size // 16), 256)
    first, last = int(network.network_address), int(network.broadcast_address)
    if size > 1:
        first += 1
    if network.version == 4 and size > 2:
        last -= 1
    return Allocator(first, last, band, choose, taken)


def for_ports(first: int, last: int, choose: Callable[[int], int]) -> Allocator:
    """Make the allocator of node ports."""
    size = last - first + 1
    band = min(max(16, size // 32), 128) if size > 16 else 0
    return Allocator(first, last, band, choose)
