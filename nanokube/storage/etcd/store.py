"""The shared store: an etcd cluster behind its v3 API, with one watch that tells of everybody's writes.

    put ── Txn(mod revision == expected) ──> etcd ── watch ──> follower ── publish to watches, then wake put

A write whose answer is lost is sent again: the comparison keeps it from being done twice. If the comparison
then fails, nobody can tell whether the first sending did it, and the caller is told just that (Uncertain).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Final

import grpc

from nanokube.storage.etcd import compactor, past
from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.etcd.connection import ATTEMPT_S, PATIENCE_S, PAUSE_S, Connection, Failed, Refused
from nanokube.storage.etcd.follower import RESTORED, Follower
from nanokube.storage.etcd.keys import OFFSET, RESTORING, Keys
from nanokube.storage.etcd.leases import Leases
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.fanout import Fanout, Subscription
from nanokube.storage.store import (
    Broken,
    Compacted,
    Conflict,
    Deliver,
    Entry,
    Event,
    FutureRevision,
    KeyExists,
    NotFound,
    Range,
    StoreError,
    Unavailable,
    Uncertain,
)

log = logging.getLogger(__name__)

PAGE: Final = 1000  # entries an answer
PATIENT_S: Final = 3.0  # upstream waits so long for a revision, too
RESTORE_POLL_S: Final = 0.2


class Restoring(Unavailable):
    """A restore has begun and not ended."""


@contextlib.asynccontextmanager
async def opened(
    settings: EtcdSettings,
    *,
    clock: Callable[[], float] = time.time,
    compacts: bool = True,
    awaits_restore: bool = True,
) -> AsyncIterator[EtcdStore]:
    """Connect, and follow until the block ends. compacts: take part in compaction.

    awaits_restore: wait until a restore has ended, however long.
    Raises OSError (unreadable files), Unavailable, Restoring unless it waits, Refused.
    """
    connection = Connection(settings)
    try:
        keys, revision = await _settled(connection, settings.prefix, waits=awaits_restore)
        failure: BaseException | None = None  # the block's own: no matter of the group
        async with asyncio.TaskGroup() as group:
            store = EtcdStore(settings, connection, keys, revision, group, clock)
            tasks = [
                group.create_task(store.follower.run(), name="etcd watch"),
                group.create_task(connection.keep(), name="etcd members"),
            ]
            if compacts:
                compacting = compactor.run(connection, store.note_compacted)
                tasks.append(group.create_task(compacting, name="etcd compaction"))
            try:
                yield store
            except BaseException as err:
                failure = err
            await store.close()
            for task in tasks:
                task.cancel()
        if failure is not None:
            raise failure
    finally:
        await connection.close()


async def _settled(connection: Connection, prefix: str, *, waits: bool) -> tuple[Keys, int]:
    """Read the offset and the revision, once no restore is under way."""
    keys, has_told = Keys(prefix), False
    request = pb.RangeRequest(key=keys.first, range_end=keys.encode("/"))
    while True:
        answer = await connection.insist(lambda m: m.kv.Range(request, timeout=ATTEMPT_S))
        found = {keys.decode(kv.key): kv for kv in answer.kvs}
        if RESTORING not in found:
            break
        if not waits:
            raise Restoring("a restore of the store is under way, or was broken off: call it again")
        if not has_told:
            log.warning("waiting for a restore to end; if it was broken off: until it is called again")
            has_told = True
        await asyncio.sleep(RESTORE_POLL_S)
    offset = found.get(OFFSET)
    if offset is None:
        return keys, answer.header.revision
    return Keys(prefix, json.loads(offset.value), offset.mod_revision), answer.header.revision


class EtcdStore:
    """Get one with `opened`."""

    def __init__(
        self,
        settings: EtcdSettings,
        connection: Connection,
        keys: Keys,
        revision: int,
        group: asyncio.TaskGroup,
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self._connection = connection
        self._keys = keys
        self._group = group
        self._fanout = Fanout()
        self.follower = Follower(connection, keys, revision, self._fanout.publish)
        self._leases = Leases(connection, clock)
        self._compacted = max(keys.offset + 1, 0) if keys.offset else 0
        self._asked: asyncio.Future[int] | None = None
        self._is_asking = False
        self._loop = asyncio.get_running_loop()

    @property
    def revision(self) -> int:
        """The newest revision that watches were told of."""
        return self._keys.shown(self.follower.revision)

    @property
    def compacted(self) -> int:
        """History before this revision is forgotten, as far as is known here."""
        return self._compacted

    @property
    def is_healthy(self) -> bool:
        """Its history has no gap."""
        return not self.follower.broken

    @property
    def is_shared(self) -> bool:
        """Others write too."""
        return True

    async def synchronize(self, revision: int = 0) -> None:
        """Wait until watches know; see Store. Calls at the same time share one question."""
        self._check_alive()
        if revision and revision <= self.revision:
            return
        current = await self._current()
        wanted = revision - self._keys.offset if revision else current
        if await self.follower.reach(wanted, PATIENT_S, has_event=wanted > current):
            return
        self._check_alive()
        if wanted > current:
            raise FutureRevision(revision, self.revision)
        raise Unavailable(f"cannot read: the watch of etcd is behind revision {self._keys.shown(wanted)}")

    async def range(self, start: str, end: str = "", *, limit: int = 0, revision: int = 0) -> Range:
        """Read keys; see Store. In pages, all of one revision."""
        keys = self._keys
        request = pb.RangeRequest(
            key=keys.encode(start), range_end=keys.encode(end) if end else b"", revision=keys.asked(revision)
        )
        entries: list[Entry] = []
        count = 0
        while True:
            request.limit = min(limit - len(entries), PAGE) if limit else PAGE
            try:
                answer = await self._connection.insist(lambda m: m.kv.Range(request, timeout=5 * ATTEMPT_S))
            except Refused as err:
                raise self._translated(err, revision) from err
            count = count or answer.count
            request.revision = request.revision or answer.header.revision
            entries += [self._entry(kv) for kv in answer.kvs]
            if not answer.more or (limit and len(entries) >= limit):
                return Range(entries, keys.shown(request.revision), count)
            request.key = answer.kvs[-1].key + b"\0"

    async def put(self, key: str, value: bytes, *, expect: int | None = None, expires: float = 0.0) -> int:
        """Write a key; see Store."""
        self._check_alive()
        lease = await self._leases.until(expires) if expires else 0
        op = pb.RequestOp(request_put=pb.PutRequest(key=self._keys.encode(key), value=value, lease=lease))
        return await self._kept(self._write(key, op, expect))

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        """Delete a key; see Store."""
        self._check_alive()
        op = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=self._keys.encode(key)))
        return await self._kept(self._write(key, op, expect))

    async def watch(self, prefix: str, after: int, deliver: Deliver) -> Subscription:
        """Watch; see Store."""
        self._check_alive()
        if after and after < self._compacted:
            raise Compacted(after, self._compacted)
        if after > self.revision:
            await self._wait_for_future(after)
        subscription = self._fanout.subscribe(prefix, after, deliver)
        try:
            events = await self._past(prefix, after)
        except BaseException:
            subscription.cancel()
            raise
        subscription.go(events)
        return subscription

    async def compact(self, revision: int) -> None:
        """Forget, for everyone; see Store."""
        request = pb.CompactionRequest(revision=self._keys.asked(revision))
        try:
            await self._connection.insist(lambda m: m.kv.Compact(request, timeout=5 * ATTEMPT_S))
        except Refused as err:
            raise self._translated(err, revision) from err
        self._compacted = revision

    def note_compacted(self, revision: int) -> None:
        """Learn how far etcd was compacted, in its own count."""
        self._compacted = max(self._compacted, self._keys.shown(revision))

    def expired(self, now: float) -> Sequence[tuple[str, int]]:
        """Name nothing: leases end by themselves."""
        return ()

    async def size(self) -> int:
        """Ask the member that is used for the size of its database; 0 if it does not answer."""
        request = pb.StatusRequest()
        try:
            answer = await self._connection.attempt(
                lambda m: m.maintenance.Status(request, timeout=ATTEMPT_S)
            )
        except StoreError:
            return 0
        return int(answer.dbSize)

    async def close(self) -> None:
        """End all watches, and let go who waits; `opened` does the rest."""
        self._fanout.clear()
        self.follower.stop()

    def _check_alive(self) -> None:
        if self.follower.broken:
            raise Broken(f"cannot go on: {self.follower.broken}")

    async def _wait_for_future(self, revision: int) -> None:
        wanted = revision - self._keys.offset
        if wanted > await self._current():
            raise FutureRevision(revision, self.revision)
        await self.synchronize(revision)

    async def _past(self, prefix: str, after: int) -> Sequence[Event]:
        """Read what was written after a revision and before the subscription."""
        if after >= self.revision:
            return ()
        if not self.follower.last_event:
            await self.follower.barrier()  # from now on an event tells where the past ends
        upto = self.follower.last_event
        if after >= self._keys.shown(upto):
            return ()
        begin = self._keys.asked(after + 1)
        found = await past.read(self._connection, self._keys, begin, upto)
        return [event for event in found if event.key.startswith(prefix)]

    async def _kept(self, write: Coroutine[Any, Any, int]) -> int:
        """Await a write that goes on when its caller does not."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._group.create_task(_settle(future, write))
        return await future

    async def _write(self, key: str, op: pb.RequestOp, expect: int | None) -> int:
        request = self._transaction(key, op, expect)
        answer, is_repeated = await self._commit(request, repeatable=expect is not None)
        if not answer.succeeded and _mark(answer.responses[1]) != self._keys.mark:
            self.follower.break_(RESTORED)
            self._check_alive()
        kvs = [] if answer.succeeded else answer.responses[0].response_range.kvs
        revision = kvs[0].mod_revision if kvs else answer.header.revision
        has_event = answer.succeeded or bool(kvs)  # else it was deleted, we do not know when
        if not await self.follower.reach(revision, PATIENCE_S, has_event=has_event):
            log.warning("watch is behind a write: revision=%d", revision)
        if answer.succeeded:
            return self._keys.shown(revision)
        found = self._entry(kvs[0]) if kvs else None
        if is_repeated:
            if expect == 0 and found and kvs[0].version == 1 and found.value == op.request_put.value:
                return found.mod_revision
            raise Uncertain(f"cannot tell whether {key} was written: etcd was lost meanwhile")
        if not found and not op.HasField("request_put"):
            raise NotFound(f"cannot delete {key}: it is absent")
        if expect == 0:
            raise KeyExists(f"cannot create {key}: it exists")
        raise Conflict(key, expect or 0, found.mod_revision if found else 0)

    def _transaction(self, key: str, op: pb.RequestOp, expect: int | None) -> pb.TxnRequest:
        raw, offset = self._keys.encode(key), self._keys.encode(OFFSET)
        # Whose watch is late may not know of a restore: what is created then would be one object too many.
        compare = [pb.Compare(target=pb.Compare.MOD, key=offset, mod_revision=self._keys.mark)]
        if expect is not None:
            known = expect - self._keys.offset if expect else 0
            known = max(known, -1) or (-1 if expect else 0)  # none has -1: what was before a migration
            compare.append(pb.Compare(target=pb.Compare.MOD, key=raw, mod_revision=known))
        elif not op.HasField("request_put"):
            exists = pb.Compare(target=pb.Compare.VERSION, result=pb.Compare.NOT_EQUAL, key=raw, version=0)
            compare.append(exists)
        asked = (pb.RangeRequest(key=raw), pb.RangeRequest(key=offset))
        otherwise = [pb.RequestOp(request_range=each) for each in asked]
        return pb.TxnRequest(compare=compare, success=[op], failure=otherwise)

    async def _commit(self, request: pb.TxnRequest, *, repeatable: bool) -> tuple[Any, bool]:
        """Send a transaction until it is answered; tell whether an earlier sending may have done it.

        Raises Unavailable (not done), Uncertain.
        """
        deadline, pause, is_repeated = self._loop.time() + PATIENCE_S, PAUSE_S, False
        while True:
            try:
                answer = await self._connection.attempt(lambda m: m.kv.Txn(request, timeout=ATTEMPT_S))
                return answer, is_repeated
            except Refused as err:
                if not err.is_busy or self._loop.time() > deadline:
                    failure = Uncertain if is_repeated else Unavailable
                    raise failure(f"cannot write: etcd refuses: {err}") from err
            except Failed as err:
                is_repeated = is_repeated or err.is_sent
                if is_repeated and (not repeatable or self._loop.time() > deadline):
                    raise Uncertain(f"cannot tell whether it was written: {err}") from err
                if self._loop.time() > deadline:
                    raise Unavailable(f"cannot write: {err}") from err
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.8)

    async def _current(self) -> int:
        """Ask etcd for its revision; who asks before the question leaves shares the answer."""
        if self._asked is None:
            self._asked = self._loop.create_future()
            if not self._is_asking:
                self._is_asking = True
                self._group.create_task(self._ask())
        return await asyncio.shield(self._asked)

    async def _ask(self) -> None:
        request = pb.RangeRequest(key=self._keys.first, count_only=True)
        try:
            while self._asked is not None:
                asked, self._asked = self._asked, None
                try:
                    answer = await self._connection.insist(lambda m: m.kv.Range(request, timeout=ATTEMPT_S))
                    asked.set_result(answer.header.revision)
                except StoreError as err:
                    asked.set_exception(err)
                    asked.exception()  # seen, even if all who asked have gone
        finally:
            self._is_asking = False

    def _entry(self, kv: Any) -> Entry:
        keys = self._keys
        return Entry(
            keys.decode(kv.key), kv.value, keys.shown(kv.create_revision), keys.shown(kv.mod_revision)
        )

    def _translated(self, err: Refused, revision: int) -> StoreError:
        if err.code is grpc.StatusCode.OUT_OF_RANGE and "compacted" in str(err):
            self._compacted = max(self._compacted, revision)
            return Compacted(revision, self._compacted)
        if err.code is grpc.StatusCode.OUT_OF_RANGE:
            return FutureRevision(revision, self.revision)
        return Unavailable(f"etcd refuses: {err}")


def _mark(response: Any) -> int:
    """Return the revision of the offset's key, 0 without one. Pure."""
    kvs = response.response_range.kvs
    return int(kvs[0].mod_revision) if kvs else 0


async def _settle(future: asyncio.Future[int], write: Coroutine[Any, Any, int]) -> None:
    try:
        revision = await write
    except Exception as err:
        if not future.done():
            future.set_exception(err)
    else:
        if not future.done():
            future.set_result(revision)
