"""Concurrent clients see one order of writes, whatever the store, and through several servers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanokube.storage.etcd import store as etcd_store
from nanokube.storage.memory import MemoryStore
from nanokube.storage.sqlite.store import SqliteStore
from tests.contract.store import etcd, history

SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[etcd.Etcd]:
    with etcd.running(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.mark.parametrize("seed", SEEDS)
async def test_in_memory(seed: int) -> None:
    assert history.problems(await history.run([MemoryStore()], seed=seed)) == []


@pytest.mark.parametrize("seed", SEEDS)
async def test_on_sqlite(seed: int, tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "s.db")
    try:
        assert history.problems(await history.run([store], seed=seed)) == []
    finally:
        await store.close()


@pytest.mark.parametrize("seed", SEEDS)
async def test_through_two_servers_on_one_etcd(seed: int, server: etcd.Etcd) -> None:
    async with etcd.fresh(server) as one, etcd_store.opened(one.settings) as two:
        assert history.problems(await history.run([one, two], seed=seed)) == []


@pytest.mark.parametrize("seed", SEEDS[:1])
async def test_while_etcd_is_killed(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    with etcd.running(tmp_path / "etcd") as server:
        async with etcd.fresh(server) as one, etcd_store.opened(one.settings) as two:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(history.run([one, two], seed=seed, steps=120))
                for _ in range(2):
                    await asyncio.sleep(0.02 + draw.random() * 0.2)
                    server.kill()
                    await asyncio.to_thread(server.start)
            found = running.result()
    assert history.problems(found) == []
    assert len(found.events) > 100


def test_the_checker_finds_what_is_wrong() -> None:
    """A lost write, a stale read, a second writing, a comparison that did not hold."""
    put = history.Operation("put", "/h/a", 1.0, 2.0, b"x", 0, 5)
    late = history.Operation("put", "/h/a", 3.0, 4.0, b"y", 0, 6)
    stale = history.Operation("read", "/h/a", 5.0, 6.0, b"x", 0, 5)
    told: list[tuple[int, str, bytes | None]] = [(5, "/h/a", b"x"), (6, "/h/a", b"y")]
    assert history.problems(history.History([put], told[:1])) == []
    for wrong, word in (
        (history.History([put], []), "lost"),
        (history.History([put, late], told), "compared"),
        (history.History([put, late, stale], told), "stale"),
        (history.History([put], [*told[:1], (7, "/h/a", b"x")]), "twice"),
        (history.History([], told[:1]), "nobody"),
    ):
        assert any(word in problem for problem in history.problems(wrong)), word
