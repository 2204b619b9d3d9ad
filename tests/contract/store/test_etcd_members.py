"""Members of a real etcd come, go, and come back without what they held."""

import asyncio
import contextlib
import dataclasses
import shutil
from pathlib import Path

import pytest

from nanokube.storage.etcd import members, store
from tests.contract.store import etcd


async def test_a_member_that_lost_its_data_takes_its_place_again(tmp_path: Path) -> None:
    made = {name: etcd.Etcd(tmp_path / name, name) for name in "abc"}
    with contextlib.ExitStack() as stack:
        for member in made.values():
            stack.callback(member.kill)
        made["a"].start()
        settings = dataclasses.replace(made["a"].settings, learns=False)
        for name in "bc":
            made[name].start(await members.add(settings, name, made[name].peer), "existing")
            await members.promote(settings, name)

        made["c"].kill()
        shutil.rmtree(tmp_path / "c")
        again = await members.add(settings, "c", made["c"].peer)
        assert again == await members.add(settings, "c", made["c"].peer), "asked again before it started"
        made["c"].start(again, "existing")
        await members.promote(settings, "c")
        assert sorted(await members.names(settings)) == ["a", "b", "c"]
        assert sorted(part.partition("=")[0] for part in again.split(",")) == ["a", "b", "c"]


async def test_a_learner_whose_join_was_broken_off_votes_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would stay one for ever, and answer no API server."""
    monkeypatch.setattr(members, "LOOK_S", 0.1)
    made = {name: etcd.Etcd(tmp_path / name, name) for name in "ab"}
    with contextlib.ExitStack() as stack:
        for member in made.values():
            stack.callback(member.kill)
        made["a"].start()
        first = dataclasses.replace(made["a"].settings, learns=False)
        cluster = await members.add(first, "b", made["b"].peer)
        own = dataclasses.replace(made["b"].settings, learns=False)
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            group.create_task(members.keep_voting(own, first, "b"))  # its etcd is not there yet
            await asyncio.sleep(0.3)
            made["b"].start(cluster, "existing")
        assert [each.is_learner for each in await members.known(first)] == [False, False]
        await members.keep_voting(own, own, "b")  # which does already: asks nobody else
        async with store.opened(own) as opened:
            await opened.put("/a", b"")
