"""Members of a real etcd come, go, and come back without what they held."""

import contextlib
import dataclasses
import shutil
from pathlib import Path

from nanokube.storage.etcd import members
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
