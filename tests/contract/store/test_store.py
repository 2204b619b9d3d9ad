"""What every store promises; runs over each implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from nanokube.kit.clock import SYSTEM
from nanokube.storage import maintenance
from nanokube.storage.encryption import store as encryption
from nanokube.storage.encryption import transformer
from nanokube.storage.memory import MemoryStore
from nanokube.storage.sqlite.store import SqliteStore
from nanokube.storage.store import (
    Compacted,
    Conflict,
    Event,
    FutureRevision,
    KeyExists,
    NotFound,
    Store,
    prefix_end,
)
from tests.contract.store import etcd

ALL = ("/", prefix_end("/"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[etcd.Etcd]:
    with etcd.running(tmp_path_factory.mktemp("etcd")) as server:
        yield server


ENCRYPTION = """{apiVersion: apiserver.config.k8s.io/v1, kind: EncryptionConfiguration, resources: [
  {resources: ["*.*"], providers: [{aesgcm: {keys: [{name: k, secret: MDEyMzQ1Njc4OWFiY2RlZg==}]}}]}]}"""


@pytest.fixture(params=["memory", "sqlite", "etcd", "encrypted"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    if request.param == "etcd":
        async with etcd.fresh(request.getfixturevalue("server")) as opened:
            yield opened
        return
    embedded: Store = (
        MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "s.db")
    )
    if request.param == "encrypted":
        monkeypatch.setattr(transformer, "resource_of", lambda _key: "anything")  # keys here are short
        (tmp_path / "encryption.yaml").write_text(ENCRYPTION)
        async with encryption.opened(embedded, tmp_path / "encryption.yaml", SYSTEM) as encrypted:
            yield encrypted
    else:
        yield embedded
    await embedded.close()


async def keys(store: Store, *, limit: int = 0, revision: int = 0, start: str = "/") -> list[str]:
    found = await store.range(start, prefix_end("/"), limit=limit, revision=revision)
    return [entry.key for entry in found.entries]


async def test_revisions_count_all_writes_and_begin_above_one(store: Store) -> None:
    assert store.revision == 1
    assert [await store.put("/a", b"1"), await store.put("/b", b"2"), await store.delete("/a")] == [2, 3, 4]
    assert store.revision == 4


async def test_its_size_is_told(store: Store) -> None:
    await store.put("/a", b"1" * 5000)
    assert await store.size() >= 5000


async def test_an_entry_knows_its_create_and_mod_revision(store: Store) -> None:
    await store.put("/a", b"1", expect=0)
    await store.put("/a", b"2", expect=2)
    entry = (await store.range("/a")).entries[0]
    assert (entry.value, entry.create_revision, entry.mod_revision) == (b"2", 2, 3)
    await store.delete("/a")
    assert await store.put("/a", b"3", expect=0) == 5
    assert (await store.range("/a")).entries[0].create_revision == 5


async def test_failed_comparisons_change_nothing(store: Store) -> None:
    await store.put("/a", b"1")
    with pytest.raises(KeyExists):
        await store.put("/a", b"x", expect=0)
    with pytest.raises(Conflict) as found:
        await store.put("/a", b"x", expect=7)
    assert found.value.revision == 2
    with pytest.raises(Conflict):
        await store.put("/b", b"x", expect=7)
    with pytest.raises(Conflict):
        await store.delete("/a", expect=7)
    with pytest.raises(NotFound):
        await store.delete("/b")
    assert store.revision == 2
    assert (await store.range("/a")).entries[0].value == b"1"


async def test_one_of_many_concurrent_creators_wins(store: Store) -> None:
    results = await asyncio.gather(
        *(store.put("/a", b"%d" % i, expect=0) for i in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, KeyExists) for result in results) == 19
    assert store.revision == 2  # whoever lost learns it after the winner is durable


async def test_a_range_is_sorted_limited_and_counted(store: Store) -> None:
    for name in "cabd":
        await store.put(f"/{name}", name.encode())
    await store.delete("/b")
    found = await store.range(*ALL, limit=2)
    assert [e.key for e in found.entries] == ["/a", "/c"]
    assert (found.count, found.revision) == (3, 6)
    assert await keys(store, start="/c") == ["/c", "/d"]


async def test_a_range_shows_the_past(store: Store) -> None:
    await store.put("/a", b"1")
    await store.put("/b", b"1")
    await store.delete("/a")
    assert [await keys(store, revision=r) for r in (2, 3, 4)] == [["/a"], ["/a", "/b"], ["/b"]]
    with pytest.raises(FutureRevision):
        await store.range(*ALL, revision=99)


async def test_compacted_revisions_cannot_be_read_and_the_rest_can(store: Store) -> None:
    for i in range(5):
        await store.put("/a", b"%d" % i)
    await store.put("/b", b"")
    await store.delete("/b")  # revision 8
    await store.put("/c", b"")
    await store.compact(6)
    assert store.compacted == 6
    with pytest.raises(Compacted):
        await store.range(*ALL, revision=5)
    with pytest.raises(Compacted):
        await store.watch("/", 5, lambda batch: None)
    with pytest.raises(Compacted):
        await store.compact(6)
    with pytest.raises(FutureRevision):
        await store.compact(99)
    assert [await keys(store, revision=r) for r in (6, 7, 8, 9)] == [
        ["/a"], ["/a", "/b"], ["/a"], ["/a", "/c"]
    ]  # fmt: skip
    await store.compact(9)
    assert await keys(store) == ["/a", "/c"]
    assert store.revision == 9


async def test_a_watch_replays_then_follows_in_order_without_gap(store: Store) -> None:
    seen: list[Event] = []

    def deliver(batch: Sequence[Event]) -> None:
        seen.extend(batch)

    await store.put("/a/1", b"1")
    await store.put("/b/1", b"1")
    await store.put("/a/1", b"2")
    async with asyncio.TaskGroup() as group:
        group.create_task(store.watch("/a/", 2, deliver))
        for i in range(20):
            group.create_task(store.put(f"/a/{i}", b"x"))
    await store.delete("/a/1")
    assert [e.revision for e in seen] == [4, *range(5, 25), 25]
    assert seen[0].value == b"2"
    assert seen[-1].value is None
    assert seen[-1].create_revision in (2, 0)


async def test_a_cancelled_watch_is_silent_and_a_future_one_refused(store: Store) -> None:
    seen: list[Event] = []
    watch = await store.watch("/", 1, seen.extend)
    watch.cancel()
    await store.put("/a", b"")
    assert seen == []
    with pytest.raises(FutureRevision):
        await store.watch("/", 9, seen.extend)


async def test_a_watch_sees_a_write_before_its_writer_resumes(store: Store) -> None:
    seen: list[Event] = []
    await store.watch("/", 1, seen.extend)
    revision = await store.put("/a", b"")
    assert [e.revision for e in seen] == [revision]


async def test_expired_keys_are_swept_unless_renewed(store: Store) -> None:
    if store.is_shared:
        return  # test_etcd.py
    await store.put("/gone", b"", expires=100.0)
    await store.put("/kept", b"", expires=100.0)
    await store.put("/kept", b"", expires=200.0)
    await store.put("/forever", b"")
    assert await maintenance.sweep(store, 99.0) == 0
    assert await maintenance.sweep(store, 150.0) == 1
    assert await keys(store) == ["/forever", "/kept"]


async def test_many_writes_at_once_are_all_kept_in_order(store: Store) -> None:
    seen: list[Event] = []
    await store.watch("/", 1, seen.extend)
    revisions = await asyncio.gather(*(store.put(f"/{i:03}", b"%d" % i) for i in range(150)))
    assert sorted(revisions) == list(range(2, 152)) == [event.revision for event in seen]
    assert [(e.value, e.mod_revision) for e in (await store.range(*ALL)).entries] == [
        (b"%d" % i, revision) for i, revision in enumerate(revisions)
    ]


async def test_a_caller_that_gives_up_undoes_neither_its_write_nor_that_of_others(store: Store) -> None:
    if store.is_shared:
        return  # no order is promised of writes at the same time; test_etcd.py
    async with asyncio.TaskGroup() as group:
        mine = group.create_task(store.put("/a", b"1", expect=0))
        other = group.create_task(store.put("/b", b"2"))
        late = group.create_task(_refused(store, "/a"))
        await asyncio.sleep(0)
        mine.cancel()
    assert other.result() == 3
    assert late.result() == 2
    assert await keys(store) == ["/a", "/b"]


async def _refused(store: Store, key: str) -> int:
    """Try to create what exists; return the durable revision by which the refusal is known to be true."""
    with pytest.raises(KeyExists):
        await store.put(key, b"x", expect=0)
    return (await store.range(key)).entries[0].mod_revision
