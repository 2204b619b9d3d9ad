"""Leases that let keys expire; keys whose time comes about together share one.

Source: staging apiserver pkg/storage/etcd3/lease_manager.go (reuse within 60 s or 5 %, 1000 objects).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.etcd.connection import ATTEMPT_S, Connection

REUSE_S: Final = 60.0
REUSE_SHARE: Final = 0.05
MOST_KEYS: Final = 1000


class Leases:
    """time: the wall clock, as expiry is told by it."""

    def __init__(self, connection: Connection, time: Callable[[], float]) -> None:
        self._connection = connection
        self._time = time
        self._lock = asyncio.Lock()
        self._id = 0
        self._ends = 0.0
        self._keys = 0

    async def until(self, expires: float) -> int:
        """Give a lease that ends at expires (seconds since the epoch) or a little later.

        Raises Unavailable, Refused.
        """
        async with self._lock:
            ttl = max(expires - self._time(), 1.0)
            slack = max(1.0, min(REUSE_S, ttl * REUSE_SHARE))
            if self._keys < MOST_KEYS and expires <= self._ends <= expires + slack + 1:  # whole seconds
                self._keys += 1
                return self._id
            whole = math.ceil(ttl + slack)
            request = pb.LeaseGrantRequest(TTL=whole)
            granted = await self._connection.insist(lambda m: m.lease.LeaseGrant(request, timeout=ATTEMPT_S))
            self._id, self._ends, self._keys = granted.ID, self._time() + whole, 1
            return self._id
