"""What a store needs from time to time: sweep expired keys, forget old revisions."""

from __future__ import annotations

import asyncio
import logging
from typing import Never

from nanokube.kit.clock import Clock
from nanokube.storage.store import Broken, Conflict, NotFound, Store

log = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 5.0
COMPACTION_INTERVAL_S = 300.0  # kube-apiserver --etcd-compaction-interval: history lives 5 to 10 minutes


async def run(store: Store, clock: Clock) -> Never:
    """Sweep and compact for ever, unless the store does. Raises Broken once it accepts nothing more."""
    marked = store.revision
    marked_at = clock.monotonic()
    while True:
        await asyncio.sleep(SWEEP_INTERVAL_S)
        if not store.is_healthy:
            raise Broken("cannot go on: the store accepts no writes")
        if store.is_shared:
            continue
        await sweep(store, clock.time())
        if clock.monotonic() - marked_at >= COMPACTION_INTERVAL_S:
            if marked > store.compacted:
                await store.compact(marked)
                log.info("compacted revision=%d", marked)
            marked, marked_at = store.revision, clock.monotonic()


async def sweep(store: Store, now: float) -> int:
    """Delete the keys past their expiry; return how many."""
    count = 0
    for key, revision in store.expired(now):
        try:
            await store.delete(key, expect=revision)
            count += 1
        except (Conflict, NotFound):
            continue  # written or deleted meanwhile
    return count
