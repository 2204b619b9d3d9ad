"""Cluster IPs by family: of the configured ranges, and of those that ServiceCIDR objects add. Pure.

Ranges may overlap, so what is taken is known by family, not by range. A range that is not ready gives
nothing, and what it gave stays taken.
Source: KEP-1880; pkg/registry/core/service/ipallocator/cidrallocator.go.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable, Iterable

from nanokube.apiserver.registry import allocator

NAMES = {4: "IPv4", 6: "IPv6"}
_VERSIONS = {name: version for version, name in NAMES.items()}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NoRange(Exception):
    """No range that is ready has the address."""


@dataclasses.dataclass(slots=True)
class _Range:
    network: Network
    pool: allocator.Allocator
    owners: dict[str, bool]  # ServiceCIDRs that have it, and whether each is ready


class AddressPools:
    """What Services of this cluster may have. families: as in ipFamilies, the primary first."""

    def __init__(self, cidrs: Iterable[str], choose: Callable[[int], int]) -> None:
        """cidrs: the configured ranges, ready from the start. choose(n) draws from 0 to n-1."""
        self._choose = choose
        self._taken: dict[int, set[int]] = {4: set(), 6: set()}
        self._ranges: dict[str, _Range] = {}
        self.configured = tuple(cidrs)
        self.families = tuple(NAMES[ipaddress.ip_network(each).version] for each in self.configured)
        self.set_ranges("", self.configured, is_ready=True)

    def set_ranges(self, owner: str, cidrs: Iterable[str], *, is_ready: bool) -> None:
        """Follow a ServiceCIDR. An object that has a configured range decides on it."""
        wanted = list(cidrs)
        for cidr in self._ranges.keys() - set(wanted):
            self._ranges[cidr].owners.pop(owner, None)
        for cidr in wanted:
            if cidr not in self._ranges:
                network = ipaddress.ip_network(cidr)
                pool = allocator.for_network(cidr, self._choose, self._taken[network.version])
                self._ranges[cidr] = _Range(network, pool, {})
            self._ranges[cidr].owners[owner] = is_ready
        for cidr in [cidr for cidr, each in self._ranges.items() if not each.owners]:
            del self._ranges[cidr]

    def drop(self, owner: str) -> None:
        """Follow the deletion of a ServiceCIDR."""
        self.set_ranges(owner, (), is_ready=False)

    def take(self, address: str) -> None:
        """Take one. Raises NoRange, allocator.NotInRange (first or last of a range), allocator.Taken."""
        found = ipaddress.ip_address(address)
        self._range_of(found).pool.take(int(found))

    def note(self, address: str) -> None:
        """Take one that a stored Service has, whatever the ranges are now. Raises allocator.Taken."""
        found = ipaddress.ip_address(address)
        taken = self._taken[found.version]
        if int(found) in taken:
            raise allocator.Taken
        taken.add(int(found))

    def take_any(self, family: str) -> str:
        """Take any of a family. Raises allocator.Full."""
        for each in self._ranges.values():
            if each.network.version == _VERSIONS[family] and _is_ready(each):
                try:
                    number = each.pool.take_any()
                except allocator.Full:
                    continue
                return str(_address(number, each.network.version))
        raise allocator.Full

    def release(self, address: str) -> None:
        """Give one back; twice is no error."""
        found = ipaddress.ip_address(address)
        self._taken[found.version].discard(int(found))

    def __contains__(self, address: str) -> bool:
        found = ipaddress.ip_address(address)
        return int(found) in self._taken[found.version]

    def _range_of(self, address: Address) -> _Range:
        for each in self._ranges.values():
            if address in each.network and _is_ready(each):
                return each
        raise NoRange


def _is_ready(found: _Range) -> bool:
    """A configured range is ready until an object of it says otherwise."""
    said = [is_ready for owner, is_ready in found.owners.items() if owner]
    return any(said) if said else found.owners.get("", False)


def _address(number: int, version: int) -> Address:
    return ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number)
