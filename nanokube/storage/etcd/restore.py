"""Puts the state of a backup or of another store into etcd, in place of what is there.

Servers that run notice the mark, give up, and wait at their next start until it is gone: nobody sees a part.
Who has not noticed yet writes nothing: each write compares when the offset was set (store.py), and that is
set at the beginning, too. Killed in between, it is simply called again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from nanokube.storage.backup import Record
from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.etcd.connection import ATTEMPT_S, Connection
from nanokube.storage.etcd.keys import OFFSET, RESTORING, Keys
from nanokube.storage.etcd.leases import Leases
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.store import prefix_end

OPERATIONS: Final = 100  # etcd --max-txn-ops is 128
BYTES: Final = 1_000_000  # etcd --max-request-bytes is 1.5 MiB
SLOW_S: Final = 30.0


async def count(settings: EtcdSettings) -> int:
    """Count the keys that the cluster has in etcd. Raises OSError, Unavailable, Refused."""
    connection = Connection(settings)
    keys = Keys(settings.prefix)
    request = pb.RangeRequest(key=keys.encode("/"), range_end=keys.last, count_only=True)
    try:
        answer = await connection.insist(lambda m: m.kv.Range(request, timeout=ATTEMPT_S))
        return int(answer.count)
    finally:
        await connection.close()


async def is_unfinished(settings: EtcdSettings) -> bool:
    """Tell whether a restore is under way or was broken off. Raises OSError, Unavailable, Refused."""
    connection = Connection(settings)
    request = pb.RangeRequest(key=Keys(settings.prefix).encode(RESTORING), count_only=True)
    try:
        answer = await connection.insist(lambda m: m.kv.Range(request, timeout=ATTEMPT_S))
        return bool(answer.count)
    finally:
        await connection.close()


async def fill(settings: EtcdSettings, records: Iterable[Record], floor: int, *, kept: str = "") -> int:
    """Replace everything; return the revision that the store has now: above floor and what it had before.

    kept: keys of this prefix stay. Raises OSError, Unavailable, Refused.
    """
    connection = Connection(settings)
    try:
        return await _fill(connection, Keys(settings.prefix), records, floor, kept)
    finally:
        await connection.close()


async def set_offset(settings: EtcdSettings, offset: int) -> None:
    """Say what is added to etcd's revisions."""
    connection = Connection(settings)
    try:
        await _put(connection, Keys(settings.prefix).encode(OFFSET), json.dumps(offset).encode())
    finally:
        await connection.close()


async def _fill(connection: Connection, keys: Keys, records: Iterable[Record], floor: int, kept: str) -> int:
    old = await connection.insist(
        lambda m: m.kv.Range(pb.RangeRequest(key=keys.encode(OFFSET)), timeout=ATTEMPT_S)
    )
    before = json.loads(old.kvs[0].value) if old.kvs else 0
    begun = int((await _transact(connection, _begin(keys, before))).header.revision)
    offset = max(floor, begun + before) - begun
    await _transact(connection, _deletion(keys, kept))
    leases = Leases(connection, time.time)
    for batch in _batches(records):
        operations = []
        for record in batch:
            lease = await leases.until(record.expires) if record.expires else 0
            put = pb.PutRequest(key=keys.encode(record.key), value=record.value, lease=lease)
            operations.append(pb.RequestOp(request_put=put))
        await _transact(connection, pb.TxnRequest(success=operations))
    answer = await _transact(connection, _end(keys, offset))
    last = answer.header.revision
    compaction = pb.CompactionRequest(revision=last)  # what was before is not this cluster's past
    await connection.insist(lambda m: m.kv.Compact(compaction, timeout=SLOW_S))
    return int(last) + offset


def _begin(keys: Keys, offset: int) -> pb.TxnRequest:
    marks = {RESTORING: b"1", OFFSET: json.dumps(offset).encode()}
    puts = [pb.PutRequest(key=keys.encode(key), value=value) for key, value in marks.items()]
    return pb.TxnRequest(success=[pb.RequestOp(request_put=put) for put in puts])


def _deletion(keys: Keys, kept: str) -> pb.TxnRequest:
    """Delete all keys but those of a prefix; without one, all."""
    ends = [keys.encode("/"), keys.last]
    if kept:
        ends[1:1] = [keys.encode(kept), keys.encode(prefix_end(kept))]
    ranges = zip(ends[::2], ends[1::2], strict=True)
    deletes = [pb.DeleteRangeRequest(key=first, range_end=last) for first, last in ranges]
    return pb.TxnRequest(success=[pb.RequestOp(request_delete_range=each) for each in deletes])


def _end(keys: Keys, offset: int) -> pb.TxnRequest:
    put = pb.PutRequest(key=keys.encode(OFFSET), value=json.dumps(offset).encode())
    delete = pb.DeleteRangeRequest(key=keys.encode(RESTORING))
    return pb.TxnRequest(success=[pb.RequestOp(request_put=put), pb.RequestOp(request_delete_range=delete)])


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in records:
        if batch and (len(batch) == OPERATIONS or size + len(record.value) > BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record.key) + len(record.value)
    if batch:
        yield batch


async def _transact(connection: Connection, request: pb.TxnRequest) -> Any:
    return await connection.insist(lambda m: m.kv.Txn(request, timeout=SLOW_S))


async def _put(connection: Connection, key: bytes, value: bytes) -> int:
    request = pb.PutRequest(key=key, value=value)
    answer = await connection.insist(lambda m: m.kv.Put(request, timeout=ATTEMPT_S))
    return int(answer.header.revision)
