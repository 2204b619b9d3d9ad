"""Forgets etcd's history from time to time; of all servers, also of other clusters', one does it.

Each tries to write the same key with the version that it saw last; who succeeds compacts what was the newest
revision one interval ago.
Source: staging apiserver pkg/storage/etcd3/compact.go (key, algorithm, interval).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Never

from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.etcd.connection import ATTEMPT_S, Connection, Refused
from nanokube.storage.store import StoreError

log = logging.getLogger(__name__)

KEY: Final = b"compact_rev_key"  # kube-apiserver's, so that it and we take turns
INTERVAL_S: Final = 300.0


async def run(
    connection: Connection, on_compacted: Callable[[int], None], *, interval_s: float = INTERVAL_S
) -> Never:
    """Take turns for ever. on_compacted: told up to where, whoever did it."""
    version, revision = 0, 0
    while True:
        await asyncio.sleep(interval_s)
        try:
            version, revision, done = await turn(connection, version, revision)
        except StoreError as err:
            log.warning("cannot compact: %s", err)
            continue
        if done:
            on_compacted(done)


async def turn(connection: Connection, version: int, revision: int) -> tuple[int, int, int]:
    """Compact at revision if nobody has since.

    version: of the key, when it was seen last. Returns its version, the newest revision, and up to where is
    compacted (0: not known). Raises StoreError.
    """
    request = pb.TxnRequest(
        compare=[pb.Compare(target=pb.Compare.VERSION, key=KEY, version=version)],
        success=[pb.RequestOp(request_put=pb.PutRequest(key=KEY, value=b"%d" % revision))],
        failure=[pb.RequestOp(request_range=pb.RangeRequest(key=KEY))],
    )
    answer = await connection.attempt(lambda m: m.kv.Txn(request, timeout=ATTEMPT_S))
    newest = answer.header.revision
    if not answer.succeeded:
        kvs = answer.responses[0].response_range.kvs
        return (kvs[0].version, newest, int(kvs[0].value or 0)) if kvs else (0, newest, 0)
    if not revision:
        return version + 1, newest, 0
    compaction = pb.CompactionRequest(revision=revision)
    try:
        await connection.attempt(lambda m: m.kv.Compact(compaction, timeout=5 * ATTEMPT_S))
        log.info("compacted revision=%d", revision)
    except Refused:
        log.debug("compacted already: revision=%d", revision)
    return version + 1, newest, revision
