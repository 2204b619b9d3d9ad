"""The one watch by which a server learns what happens in etcd, its own writes included.

    following --(stream lost, member silent)--> next member, from the revision after the last --> following
        |____ history compacted meanwhile, or the cluster restored from a backup ___> broken

Who waits for a revision is woken when everything up to it was delivered. A revision that brings no event
(others write outside the prefix) is asked for: by a progress request where etcd answers these rightly, else
by a write of our own behind it.
Source: etcd api/v3 rpc.proto (WatchResponse); apiserver pkg/storage/feature (progress since 3.4.31, 3.5.13).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
import grpc.aio

from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.etcd.connection import ATTEMPT_S, PAUSE_S, Connection, Member
from nanokube.storage.etcd.keys import BARRIER, OFFSET, RESTORING, Keys
from nanokube.storage.store import Event, StoreError

log = logging.getLogger(__name__)

NUDGE_S: Final = 0.003  # an event on its way is mostly there by then
WRITE_S: Final = 0.03  # and almost certainly by then, when asking costs a write
NUDGE_AGAIN_S: Final = 0.1  # upstream's interval of progress requests
STALL_S: Final = 2.0  # a watch that owes a revision for so long is made anew, with another member
RESTORED: Final = "the cluster was restored from a backup"
HAS_LEADER: Final = (("hasleader", "true"),)  # or a member without a majority would keep us waiting for ever


class Follower:
    """revision: etcd's, up to which all was given to publish; last_event: of the newest event seen, or 0."""

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        revision: int,
        publish: Callable[[Sequence[Event]], None],
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._publish = publish
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._stream: Any = None
        self._nudging = False
        self._makes_progress = False
        self.revision = revision
        self.last_event = 0
        self.broken = ""
        connection.on_leave = self.restart

    async def run(self) -> None:
        """Follow until cancelled or broken."""
        pause = PAUSE_S
        while not self.broken:
            member, before = self._connection.member, self.revision
            try:
                await self._follow(member)
                cause = "watch ended"
            except grpc.aio.AioRpcError as err:
                cause = err.details() or err.code().name
            except TimeoutError:
                cause = "no answer"
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                cause = "watch stalled"  # `restart` ended the stream, and nobody us
            finally:
                self._stream = None
            if self.broken:
                break
            self._connection.leave(member, cause)
            log.info("watching again: revision=%d cause=%s", self.revision, cause)
            pause = PAUSE_S if self.revision > before else min(pause * 2, 1.0)
            await asyncio.sleep(pause)
        self._fail_waiters()

    async def reach(self, revision: int, patience_s: float, *, has_event: bool = False) -> bool:
        """Wait until everything up to a revision was published; tell whether it was in time.

        has_event: it is known to bring an event, which need not be asked for.
        """
        if self.revision >= revision:
            return True
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiter: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiters, (revision, next(self._numbers), waiter))
        wait_s, stalled = self._first_wait(has_event), began + STALL_S
        while not self.broken:
            left_s = began + patience_s - loop.time()
            done, _ = await asyncio.wait((waiter,), timeout=min(wait_s, max(left_s, 0.0)))
            now = loop.time()
            if done:
                return not self.broken
            if now >= began + patience_s:
                waiter.cancel()
                return False
            if now >= stalled:
                self.restart()
                stalled = now + STALL_S
            if not has_event:
                await self._nudge()
                wait_s = NUDGE_AGAIN_S
        return False

    def _first_wait(self, has_event: bool) -> float:
        if has_event:
            return STALL_S
        return NUDGE_S if self._makes_progress else WRITE_S

    def restart(self) -> None:
        """Give the stream up, and with it the member."""
        if self._stream is not None:
            self._stream.cancel()

    def break_(self, cause: str) -> None:
        """Publish nothing more: what follows does not continue what was."""
        if not self.broken:
            log.error("store broken: %s", cause)
            self.stop(cause)

    def stop(self, cause: str = "closed") -> None:
        """Publish nothing more, and let go who waits."""
        self.broken = self.broken or cause
        self._fail_waiters()
        self.restart()

    async def barrier(self) -> None:
        """Write something of our own, behind which everything before it is known."""
        request = pb.PutRequest(key=self._keys.encode(BARRIER))
        answer = await self._connection.insist(lambda m: m.kv.Put(request, timeout=ATTEMPT_S))
        await self.reach(answer.header.revision, 3 * STALL_S, has_event=True)

    async def _nudge(self) -> None:
        """Have etcd say how far we are."""
        stream = self._stream
        if self._nudging or stream is None:
            return
        self._nudging = True
        try:
            if self._makes_progress:
                await stream.write(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
            else:
                request = pb.PutRequest(key=self._keys.encode(BARRIER))
                await self._connection.attempt(lambda m: m.kv.Put(request, timeout=ATTEMPT_S))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, StoreError):
            pass  # the stream is ending: the next one continues
        finally:
            self._nudging = False

    async def _follow(self, member: Member) -> None:
        status = await member.maintenance.Status(pb.StatusRequest(), timeout=ATTEMPT_S)
        self._makes_progress = answers_progress(status.version)
        stream = member.watch.Watch(metadata=HAS_LEADER)
        try:
            await stream.write(
                pb.WatchRequest(
                    create_request=pb.WatchCreateRequest(
                        key=self._keys.first,
                        range_end=self._keys.last,
                        start_revision=self.revision + 1,
                        progress_notify=True,
                        fragment=True,
                    )
                )
            )
            async with asyncio.timeout(ATTEMPT_S):
                response = await stream.read()
            self._stream = stream
            batch: list[pb.Event] = []
            while response is not grpc.aio.EOF:  # type: ignore[attr-defined]
                if not self._take(response, batch):
                    return
                response = await stream.read()
        finally:
            stream.cancel()

    def _take(self, response: Any, batch: list[pb.Event]) -> bool:
        """Take one answer; False when the watch is over."""
        if response.compact_revision:
            self.break_(f"history up to {response.compact_revision} is compacted, known is {self.revision}")
            return False
        if response.canceled:
            log.info("watch cancelled: %s", response.cancel_reason)
            return False
        if response.created:
            return True
        if not response.events:
            self._advance(response.header.revision)  # progress: all up to it was sent
            return True
        batch += response.events
        if response.fragment:
            return True  # the rest of a revision follows
        events = self._events(batch)
        newest = batch[-1].kv.mod_revision
        batch.clear()
        if self.broken:
            return False
        self.last_event = newest
        self._advance(newest, events)
        return True

    def _events(self, batch: Sequence[Any]) -> list[Event]:
        found = []
        keys = self._keys
        for event in batch:
            kv = event.kv
            if keys.is_own(kv.key):
                is_put = event.type == pb.Event.PUT
                created, revision = keys.shown(kv.create_revision), keys.shown(kv.mod_revision)
                found.append(Event(keys.decode(kv.key), kv.value if is_put else None, created, revision))
            elif keys.decode(kv.key) in (OFFSET, RESTORING):
                self.break_(RESTORED)
        return found

    def _advance(self, revision: int, events: Sequence[Event] = ()) -> None:
        if revision <= self.revision:
            return
        self.revision = revision
        if events:
            self._publish(events)
        while self._waiters and self._waiters[0][0] <= revision:
            _wake(heapq.heappop(self._waiters)[2])

    def _fail_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for _, _, waiter in waiters:
            _wake(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def answers_progress(version: str) -> bool:
    """Tell whether a version of etcd answers a progress request with nothing left behind.

    >>> [answers_progress(v) for v in ("3.4.23", "3.4.31", "3.5.9", "3.5.13", "3.6.0", "3.6.0-rc.0", "")]
    [False, True, False, True, True, True, False]
    """
    try:
        major, minor, patch = (int(p) for p in version.partition("-")[0].partition("+")[0].split("."))
    except ValueError:
        return False
    least = {4: 31, 5: 13}.get(minor, 0)
    return major > 3 or (major == 3 and minor >= 4 and patch >= least)
