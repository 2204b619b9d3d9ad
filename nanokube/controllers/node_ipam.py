"""Gives each node a part of the Pods' address range. plan is pure.

Source: pkg/controller/nodeipam/ipam/range_allocator.go.
"""

import ipaddress
from collections.abc import Iterable
from typing import Never

from nanokube.api import objects, resources
from nanokube.client import runner
from nanokube.controllers.env import Env

NODES = resources.get("nodes")


def free_range(cluster: str, mask_bits: int, taken: Iterable[str]) -> str | None:
    """Give the first range of mask_bits in cluster that overlaps none taken; None when all are.

    >>> free_range("10.244.0.0/16", 24, ["10.244.0.0/24", "10.244.2.0/24"])
    '10.244.1.0/24'
    """
    used = [ipaddress.ip_network(found) for found in taken]
    for candidate in ipaddress.ip_network(cluster).subnets(new_prefix=mask_bits):
        if not any(candidate.version == other.version and candidate.overlaps(other) for other in used):
            return str(candidate)
    return None


def ranges(clusters: str, mask_bits: int, mask_bits_ipv6: int, taken: Iterable[str]) -> list[str] | None:
    """Give a node its range of each family; None when one of them has no more.

    >>> ranges("10.244.0.0/16,fd00::/48", 24, 64, ["10.244.0.0/24", "fd00::/64"])
    ['10.244.1.0/24', 'fd00:0:0:1::/64']
    """
    used = list(taken)
    found = [
        free_range(each.strip(), mask_bits_ipv6 if ":" in each else mask_bits, used)
        for each in clusters.split(",")
    ]
    given = [each for each in found if each is not None]
    return given if len(given) == len(found) else None


class NodeIpamController:
    """Writes spec.podCIDR of nodes that have none. One worker: two must not choose the same range."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._nodes = env.informers.of(NODES)
        self._given: dict[str, list[str]] = {}
        self.runner = runner.Runner("node-ipam", self.reconcile, workers=1)
        self.runner.watches(self._nodes)

    async def run(self) -> Never:
        """Reconcile until cancelled."""
        await self.runner.run()

    async def reconcile(self, key: str) -> float | None:
        """Give one node its range."""
        node = self._nodes.get(key)
        if node is None:
            self._given.pop(key, None)
            return None
        if objects.spec(node).get("podCIDR"):
            self._given.pop(key, None)
            return None
        options = self._env.options
        chosen = self._given.get(key) or ranges(
            options.cluster_cidr, options.node_mask_bits, options.node_mask_bits_ipv6, self._taken()
        )
        if chosen is None:
            message = f"Node {key} status is now: CIDRNotAvailable"
            self._env.events.event(node, "Normal", "CIDRNotAvailable", message)
            return 60.0
        self._given[key] = chosen
        body = {"spec": {"podCIDR": chosen[0], "podCIDRs": chosen}}
        await self._env.client.patch(NODES, key, body)
        return None

    def _taken(self) -> list[str]:
        found = [cidr for node in self._nodes.list() for cidr in objects.spec(node).get("podCIDRs") or ()]
        # What was given but is not in the cache yet.
        return [*found, *(each for given in self._given.values() for each in given)]
