"""The delay lock on a bus of its own, with logind played."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nanokube.kubelet.node import logind
from tests.root.kubelet.played_logind import Played, on_bus

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="no dbus-daemon to play logind on"),
]


@contextlib.asynccontextmanager
async def bus(directory: Path) -> AsyncIterator[tuple[Played, logind.Logind]]:
    override = directory / "logind.conf.d/99-nanokube.conf"
    async with on_bus(directory / "bus", override) as played:
        yield played, logind.Logind(override, f"unix:path={directory}/bus")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def test_a_shutdown_waits_for_the_lock_and_may_be_called_off(tmp_path: Path) -> None:
    acts: list[bool] = []
    async with bus(tmp_path) as (played, host), asyncio.TaskGroup() as group:

        async def act(is_going_down: bool) -> None:
            acts.append(is_going_down)

        watching = group.create_task(host.watch(60, act))
        await until(lambda: played.locks)
        assert played.longest_us == 60_000_000, "logind would have waited 5 s"
        assert played.is_held()
        played.tell(True)
        await until(lambda: acts == [True])
        assert played.is_held()
        host.proceed()
        await until(lambda: not played.is_held())
        played.tell(False)
        await until(lambda: acts == [True, False])
        assert len(played.locks) == 2
        assert played.is_held(), "the next shutdown waits again"
        watching.cancel()
        await until(lambda: not played.is_held())


async def test_what_is_long_enough_is_left_alone(tmp_path: Path) -> None:
    async with bus(tmp_path) as (played, host), asyncio.TaskGroup() as group:

        async def act(_is_going_down: bool) -> None: ...

        watching = group.create_task(host.watch(3, act))
        await until(lambda: played.locks)
        assert "KillUnit" not in played.asked
        assert not (tmp_path / "logind.conf.d").exists()
        watching.cancel()


async def test_a_shutdown_that_has_begun_is_noticed(tmp_path: Path) -> None:
    acts: list[bool] = []
    async with bus(tmp_path) as (played, host), asyncio.TaskGroup() as group:
        played.is_preparing = True

        async def act(is_going_down: bool) -> None:
            acts.append(is_going_down)

        watching = group.create_task(host.watch(3, act))
        await until(lambda: acts == [True])
        assert not played.locks
        watching.cancel()


async def test_a_host_without_logind_is_told_of(tmp_path: Path) -> None:
    async def act(_is_going_down: bool) -> None: ...

    with pytest.raises(OSError, match="cannot use logind"):
        await logind.Logind(tmp_path / "x", f"unix:path={tmp_path}/none").watch(3, act)


async def test_a_bus_that_ends_is_told_of(tmp_path: Path) -> None:
    async def act(_is_going_down: bool) -> None: ...

    async with asyncio.TaskGroup() as group, bus(tmp_path) as (played, host):
        watching = group.create_task(asyncio.wait_for(fails(host, act), 10))
        await until(lambda: played.locks)
    assert watching.done()


async def fails(host: logind.Logind, act: logind.Act) -> None:
    with pytest.raises(OSError, match="cannot use logind"):
        await host.watch(3, act)
