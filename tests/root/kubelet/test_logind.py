"""The delay lock on a bus of its own: dbus-daemon is real, logind is played.

The messages are those of org.freedesktop.login1(5).
"""

import asyncio
import contextlib
import os
import select
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.constants import RequestNameReply

from nanokube.kubelet.node import logind

pytestmark = pytest.mark.root

CONFIG = """<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>"""


class Played:
    """logind and systemd, as far as they are asked. longest_us: InhibitDelayMaxUSec."""

    def __init__(self, bus: MessageBus, override: Path) -> None:
        self.longest_us = 5_000_000
        self.is_preparing = False
        self.locks: list[int] = []  # ends that show a hang-up when the lock is let go
        self.asked: list[str] = []
        self._override = override
        self._bus = bus
        bus.add_message_handler(self._answer)

    def _answer(self, message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        self.asked.append(message.member or "")
        if message.member == "Get":
            value = (
                Variant("t", self.longest_us)
                if message.body[1] == "InhibitDelayMaxUSec"
                else Variant("b", self.is_preparing)
            )
            return Message.new_method_return(message, "v", [value])
        if message.member == "Inhibit":
            assert message.body[0] == "shutdown"
            assert message.body[3] == "delay"
            ours, theirs = os.pipe()
            self.locks.append(ours)
            asyncio.get_running_loop().call_later(0.1, os.close, theirs)  # sent by then
            return Message.new_method_return(message, "h", [0], [theirs])
        if message.member == "KillUnit":
            assert message.body == ["systemd-logind.service", "all", 1]
            self.longest_us = int(self._override.read_text().rpartition("=")[2]) * 1_000_000
            return Message.new_method_return(message)
        return None

    def is_held(self) -> bool:
        """Tell whether somebody has the newest lock."""
        poll = select.poll()
        poll.register(self.locks[-1], select.POLLIN)
        return not poll.poll(0)

    def tell(self, is_going_down: bool) -> None:
        signal = Message.new_signal(logind.PATH, logind.MANAGER, "PrepareForShutdown", "b", [is_going_down])
        self._bus.send(signal)


@contextlib.asynccontextmanager
async def bus(directory: Path) -> AsyncIterator[tuple[Played, logind.Logind]]:
    socket, file = directory / "bus", directory / "bus.conf"
    file.write_text(CONFIG.format(socket=socket))
    command = ["dbus-daemon", f"--config-file={file}", "--nofork", "--nopidfile"]
    daemon = await asyncio.create_subprocess_exec(*command)
    try:
        while not socket.exists():
            assert daemon.returncode is None
            await asyncio.sleep(0.01)
        address = f"unix:path={socket}"
        own = await MessageBus(address, negotiate_unix_fd=True).connect()
        override = directory / "logind.conf.d/99-nanokube.conf"
        played = Played(own, override)
        for name in (logind.SERVICE, "org.freedesktop.systemd1"):
            assert await own.request_name(name) is RequestNameReply.PRIMARY_OWNER
        yield played, logind.Logind(override, address)
        own.disconnect()
    finally:
        daemon.kill()
        await daemon.wait()


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
