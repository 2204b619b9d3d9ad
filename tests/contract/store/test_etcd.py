"""What only a shared store must do: others write, members die or fall silent, answers are lost."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nanokube.storage import backup
from nanokube.storage.etcd import compactor, follower, restore, store
from nanokube.storage.etcd import rpc_pb2 as pb
from nanokube.storage.etcd.connection import Connection
from nanokube.storage.etcd.settings import EtcdSettings
from nanokube.storage.store import Broken, Compacted, Event, FutureRevision, KeyExists, Unavailable
from tests.contract.store import etcd


@pytest.fixture
def server(tmp_path: Path) -> Iterator[etcd.Etcd]:
    with etcd.running(tmp_path / "etcd") as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[etcd.Etcd]:
    with etcd.running(tmp_path_factory.mktemp("etcd")) as server:
        yield server


async def test_what_another_server_wrote_is_seen_after_synchronizing(shared: etcd.Etcd) -> None:
    async with store.opened(shared.settings) as one, store.opened(shared.settings) as two:
        seen: list[Event] = []
        await two.watch("/", two.revision, seen.extend)
        for i in range(50):
            revision = await one.put("/a", b"%d" % i)
            await two.synchronize()
            assert seen[-1].value == b"%d" % i
            assert two.revision >= revision


async def test_a_revision_that_brings_no_event_here_is_not_waited_for_in_vain(
    shared: etcd.Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((store, "PATIENT_S"), (follower, "STALL_S")):
        monkeypatch.setattr(module, name, 600)  # neither a refusal nor a new watch ends the wait
    mine = dataclasses.replace(shared.settings, prefix="/mine")
    theirs = dataclasses.replace(shared.settings, prefix="/mine2")
    async with store.opened(mine) as one, store.opened(theirs) as two:
        seen: list[Event] = []
        await one.watch("/", one.revision, seen.extend)
        async with asyncio.timeout(60):
            for i in range(5):
                revision = await two.put("/a", b"%d" % i)
                await one.synchronize()
                assert one.revision >= revision
        assert seen == []


async def test_many_questions_at_once_are_one(shared: etcd.Etcd) -> None:
    async with store.opened(shared.settings) as one:
        count = 0
        insist = one._connection.insist

        async def counting(ask: object) -> object:
            nonlocal count
            count += 1
            return await insist(ask)  # type: ignore[arg-type]

        one._connection.insist = counting  # type: ignore[method-assign, assignment]
        await asyncio.gather(*(one.synchronize() for _ in range(100)))
        assert count <= 2


async def test_a_future_revision_is_waited_for_then_refused(
    shared: etcd.Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with store.opened(shared.settings) as one, store.opened(shared.settings) as two:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(one.synchronize(one.revision + 1))
            await asyncio.sleep(0.05)
            assert not waiting.done()  # nor brought about by waiting
            await two.put("/a", b"")
        monkeypatch.setattr(store, "PATIENT_S", 0.1)
        with pytest.raises(FutureRevision):
            await one.synchronize(one.revision + 1000)


async def test_keys_expire_by_leases_and_share_them(shared: etcd.Etcd) -> None:
    async with store.opened(shared.settings) as one:
        seen: list[Event] = []
        await one.put("/kept", b"", expires=time.time() + 0.5)
        await one.put("/kept", b"")
        await one.watch("/gone", one.revision, seen.extend)
        for i in range(20):
            await one.put(f"/gone/{i}", b"", expires=time.time() + 0.5)
        leases = set()
        connection = one._connection
        answer = await connection.insist(
            lambda m: m.kv.Range(pb.RangeRequest(key=b"/gone/", range_end=b"/gone0"))
        )
        leases = {kv.lease for kv in answer.kvs}
        assert len(leases) <= 2
        await _until(lambda: len(seen) == 40)
        assert {e.key for e in seen if e.value is None} == {f"/gone/{i}" for i in range(20)}
        assert (await one.range("/kept")).count == 1
        assert (await one.range("/gone/", "/gone0")).count == 0


async def test_a_caller_that_gives_up_does_not_undo_its_write(shared: etcd.Etcd) -> None:
    async with store.opened(shared.settings) as one:
        async with asyncio.TaskGroup() as group:
            write = group.create_task(one.put("/given-up", b"1", expect=0))
            await asyncio.sleep(0)
            write.cancel()
        seen: list[Event] = []
        await one.watch("/given-up", 1, seen.extend)
        await _until(lambda: bool(seen))


async def test_a_killed_member_is_waited_for_and_nothing_acknowledged_is_lost(server: etcd.Etcd) -> None:
    async with store.opened(server.settings) as one:
        seen: list[Event] = []
        await one.watch("/", one.revision, seen.extend)
        done: dict[str, int] = {}

        async def write(i: int) -> None:
            for n in range(40):
                done[f"/{i}/{n}"] = await one.put(f"/{i}/{n}", b"%d.%d" % (i, n), expect=0)

        async with asyncio.TaskGroup() as group:
            for i in range(8):
                group.create_task(write(i))
            await asyncio.sleep(0.05)
            server.kill()
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.start)
        found = {e.key: e.mod_revision for e in (await one.range("/", "0")).entries}
        assert found == done
        assert [e.revision for e in seen] == sorted(done.values())


async def test_a_lost_answer_is_neither_a_failure_nor_a_second_write(server: etcd.Etcd) -> None:
    """The member falls silent with the request in its socket; it does it when it wakes."""
    async with store.opened(server.settings) as one:
        revision = await one.put("/a", b"1")
        server.pause()
        async with asyncio.TaskGroup() as group:
            create = group.create_task(one.put("/new", b"mine", expect=0))
            update = group.create_task(_outcome(one, "/a", b"2", revision))
            await asyncio.sleep(2.5)  # longer than an attempt
            server.resume()
        entry = (await one.range("/new")).entries[0]
        assert (create.result(), entry.value) == (entry.mod_revision, b"mine")
        now = (await one.range("/a")).entries[0]
        assert now.value == b"2"
        assert update.result() in ("Uncertain", str(now.mod_revision))
        with pytest.raises(KeyExists):
            await one.put("/new", b"other", expect=0)


async def _until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _outcome(one: store.EtcdStore, key: str, value: bytes, expect: int) -> str:
    try:
        return str(await one.put(key, value, expect=expect))
    except Exception as err:
        return type(err).__name__


async def test_a_member_that_is_not_there_is_left_for_the_next(shared: etcd.Etcd) -> None:
    nowhere = etcd.Etcd(Path("/nowhere"))
    endpoints = (f"127.0.0.1:{nowhere.port}", *shared.settings.endpoints)
    async with store.opened(dataclasses.replace(shared.settings, endpoints=endpoints)) as one:
        assert await one.put("/left", b"") <= one.revision


async def test_what_cannot_be_sent_was_not_done(server: etcd.Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PATIENCE_S", 0.3)
    async with store.opened(server.settings) as one:
        await one.put("/a", b"1")
        server.kill()
        await asyncio.sleep(0.1)
        with pytest.raises(Unavailable):
            await one.put("/b", b"1", expect=0)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(10):
            await one.synchronize()
        assert (await one.range("/b")).count == 0


async def test_servers_take_turns_to_compact(shared: etcd.Etcd) -> None:
    async with store.opened(shared.settings, compacts=False) as one:
        first = await one.put("/a", b"1")
        ours, theirs = Connection(shared.settings), Connection(shared.settings)
        try:
            version, revision, done = await compactor.turn(ours, 0, 0)
            assert done == 0
            other = await compactor.turn(theirs, 0, 0)
            assert other[0] == version  # lost the race, learned the version
            await one.put("/a", b"2")
            assert (await compactor.turn(ours, version, revision))[2] == revision
            assert (await compactor.turn(theirs, *other[:2]))[2] == revision  # and learns how far
        finally:
            await ours.close()
            await theirs.close()
        with pytest.raises(Compacted):
            await one.range("/a", revision=first)


async def test_a_restore_breaks_who_is_open_and_goes_on_behind_every_revision(server: etcd.Etcd) -> None:
    settings = server.settings
    async with store.opened(settings) as one:
        for i in range(150):
            await one.put(f"/old/{i:03}", b"x")
        before = one.revision
        records = [backup.Record(f"/new/{i:03}", b"%d" % i, 5, 5 + i) for i in range(250)]
        after = await restore.fill(settings, records, floor=100_000)
        assert after > 100_000 > before
        await _until(lambda: not one.is_healthy)
        with pytest.raises(Broken):
            await one.put("/b", b"")
    async with store.opened(settings) as two:
        found = await two.range("/", "0")
        assert {e.key: e.value for e in found.entries} == {r.key: r.value for r in records}
        assert all(100_000 < e.mod_revision <= after for e in found.entries)
        with pytest.raises(Compacted):
            await two.watch("/", before, lambda batch: None)
        entry = found.entries[0]
        assert await two.put(entry.key, b"changed", expect=entry.mod_revision) > after
    async with store.opened(settings) as three:
        again = await restore.fill(settings, records[:1], floor=0)
        assert again > three.revision  # never backwards, even if the backup is old


async def test_who_has_not_noticed_a_restore_writes_nothing(
    server: etcd.Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, writes = server.settings, []
    monkeypatch.setattr(store, "PATIENCE_S", 0.1)  # what is written is not seen, either
    async with contextlib.AsyncExitStack() as stack:
        one, two, three = [await stack.enter_async_context(store.opened(settings)) for _ in range(3)]
        entry = await one.put("/new/000", b"before")
        monkeypatch.setattr(follower.Follower, "_take", lambda *_: True)  # from now on watches tell nothing

        def records() -> Iterator[backup.Record]:
            for i in range(250):
                if i == 120:  # what was there is deleted, and a part of what is restored is in
                    writes.append(asyncio.create_task(one.put("/created", b"", expect=0)))
                yield backup.Record(f"/new/{i:03}", b"%d" % i, 5, 5 + i)

        await restore.fill(settings, records(), floor=0)
        with pytest.raises(Broken):
            await writes[0]
        with pytest.raises(Broken):
            await two.put("/new/000", b"after", expect=entry)
        with pytest.raises(Broken):
            await three.delete("/new/000")
    async with store.opened(settings) as four:
        found = await four.range("/", "0")
        assert {e.key: e.value for e in found.entries} == {f"/new/{i:03}": b"%d" % i for i in range(250)}


async def test_a_restore_leaves_what_is_no_object(server: etcd.Etcd) -> None:
    """Which servers share a foreign etcd is told by keys beside the objects: one that is off adds none."""
    async with store.opened(server.settings) as one:
        await one.put("/servers/192.0.2.1", b"{}")
        await one.put("/registry/pods/a/b", b"old")
        await one.put("/servers0", b"old")
        await one.put("/serverr", b"old")
    record = backup.Record("/registry/pods/a/c", b"new", 5, 5)
    await restore.fill(server.settings, [record], floor=0, kept="/servers/")
    async with store.opened(server.settings) as two:
        found = await two.range("/", "0")
        assert [e.key for e in found.entries] == ["/registry/pods/a/c", "/servers/192.0.2.1"]


async def test_a_restore_that_was_broken_off_is_told_and_taken_up(server: etcd.Etcd) -> None:
    settings = server.settings

    def broken_off() -> Iterator[backup.Record]:
        yield from [backup.Record(f"/new/{i:03}", b"", 5, 5 + i) for i in range(150)]
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        await restore.fill(settings, broken_off(), floor=0)
    assert await restore.is_unfinished(settings)
    with pytest.raises(Unavailable, match="broken off"):
        async with store.opened(settings, awaits_restore=False):
            pass
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_count(settings))
        await restore.fill(settings, [backup.Record("/new/000", b"", 5, 5)], floor=0)
    assert waiting.result() == 1
    assert not await restore.is_unfinished(settings)


async def _count(settings: EtcdSettings) -> int:
    async with store.opened(settings) as opened:
        return (await opened.range("/", "0")).count
