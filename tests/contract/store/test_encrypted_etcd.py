"""Two servers that encrypt on one etcd: keys go around by hand, one stage after the other."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nanokube.kit.clock import SYSTEM
from nanokube.roles import encryption_keys as keys
from nanokube.storage.encryption import store as encryption
from nanokube.storage.etcd import store as etcd_store
from nanokube.storage.store import Event
from tests.contract.store import etcd

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=1)
SECRET = "/registry/secrets/default/a"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[etcd.Etcd]:
    with etcd.running(tmp_path_factory.mktemp("etcd")) as server:
        yield server


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


async def test_keys_change_while_both_serve(server: etcd.Etcd, tmp_path: Path) -> None:
    first = keys.fresh(NOW)
    added = keys.with_later_keys(first, LATER)
    used = keys.with_newest_keys_first(added)
    stages = [keys.render(each) for each in (first, added, used, keys.without_old_keys(used))]
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file in files:
        file.write_bytes(stages[0])
    async with (
        etcd_store.opened(server.settings, compacts=False) as below_a,
        etcd_store.opened(server.settings, compacts=False) as below_b,
        encryption.opened(below_a, files[0], SYSTEM) as a,
        encryption.opened(below_b, files[1], SYSTEM) as b,
    ):
        told: list[Event] = []
        found = await b.range("/registry/", "/registry0")
        await b.watch("/registry/", found.revision, told.extend)
        for number, stage in enumerate(stages):
            for file, server_of in ((files[0], a), (files[1], b)):
                file.write_bytes(stage)
                assert await server_of.reload()
                await a.put(SECRET, b'{"a":%d}' % number)
                await b.synchronize()
                assert told[-1].value == b'{"a":%d}' % number
                assert (await b.range(SECRET)).entries[0].value == b'{"a":%d}' % number
        assert {event.value for event in told} == {b'{"a":%d}' % number for number in range(4)}
        assert b.is_healthy

        files[0].write_bytes(keys.render(keys.with_new_keys(keys.read(stages[-1]), NOW)))
        assert await a.reload()  # too early: the other has not got it
        await a.put(SECRET, b"{}")
        await until(lambda: not b.is_healthy)
        assert a.is_healthy
