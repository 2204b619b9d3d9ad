"""An etcd of three members: one dies, and writes go on; members come and go."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanokube.storage.etcd import members, store
from nanokube.storage.etcd.settings import EtcdSettings
from tests.contract.store import etcd, history

RESUME_S = 5.0


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[etcd.Etcd]]:
    found = [etcd.Etcd(tmp_path / name, name) for name in "abc"]
    cluster = ",".join(f"{each.name}={each.peer}" for each in found)
    with contextlib.ExitStack() as stack:
        for each in found:
            stack.callback(each.kill)
            each.start(cluster)
        yield found


@pytest.mark.parametrize("silent", [False, True])
async def test_writes_resume_when_the_member_that_is_used_dies(three: list[etcd.Etcd], silent: bool) -> None:
    endpoints = tuple(endpoint for each in three for endpoint in each.settings.endpoints)
    async with store.opened(EtcdSettings(endpoints)) as one, store.opened(EtcdSettings(endpoints)) as two:
        await one.put("/first", b"")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(history.run([one, two], seed=5, clients=4, steps=150))
            await asyncio.sleep(0.2)
            three[0].pause() if silent else three[0].kill()  # both began with it
            began = time.monotonic()
            await one.put("/after", b"unique", expect=0)  # one that can be sent again
            resumed_s = time.monotonic() - began
        assert resumed_s < RESUME_S
        assert history.problems(running.result()) == []


async def test_a_member_joins_votes_and_leaves(tmp_path: Path) -> None:
    first, second = etcd.Etcd(tmp_path / "a", "a"), etcd.Etcd(tmp_path / "b", "b")
    try:
        first.start()
        async with store.opened(first.settings) as one:
            await one.put("/a", b"1")
            cluster = await members.add(first.settings, "b", second.peer)
            assert sorted(cluster.split(",")) == sorted([f"a={first.peer}", f"b={second.peer}"])
            assert await members.add(first.settings, "b", second.peer) == cluster  # asked twice
            await one.put("/a", b"2")  # a learner takes no majority away
            second.start(cluster, state="existing")
            await members.promote(first.settings, "b", 20)
            await members.promote(first.settings, "b", 20)
            assert sorted(await members.names(first.settings)) == ["a", "b"]
            async with store.opened(second.settings) as two:
                assert (await two.range("/a")).entries[0].value == b"2"
            assert await members.remove(first.settings, "b")
            assert not await members.remove(first.settings, "b")
            assert not await members.remove(first.settings, "a")  # the last stays
            await one.put("/a", b"3")
    finally:
        second.kill()
        first.kill()
