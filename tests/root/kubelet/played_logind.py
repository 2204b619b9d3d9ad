"""logind, played on a bus of its own: dbus-daemon is real, the messages are those of login1(5).

Also a program, for a node of a lab: SOCKET OVERRIDE. It says "ready", then of each lock "taken" and
"released"; SIGUSR1 begins a shutdown, SIGUSR2 calls it off.
"""

import asyncio
import contextlib
import os
import select
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.constants import RequestNameReply

from nanokube.kubelet.node import logind

CONFIG = """<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/></policy></busconfig>"""


class Played:
    """logind and systemd, as far as they are asked. longest_us: InhibitDelayMaxUSec."""

    def __init__(self, bus: MessageBus, override: Path, note: Callable[[str], None]) -> None:
        self.longest_us = 5_000_000
        self.is_preparing = False
        self.locks: list[int] = []  # ends that show a hang-up when the lock is let go
        self.asked: list[str] = []
        self._override = override
        self._bus = bus
        self._note = note
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
            loop = asyncio.get_running_loop()
            loop.call_later(0.1, os.close, theirs)  # sent by then
            loop.add_reader(ours, self._released, ours)
            self._note("taken")
            return Message.new_method_return(message, "h", [0], [theirs])
        if message.member == "KillUnit":
            assert message.body == ["systemd-logind.service", "all", 1]
            self.longest_us = int(self._override.read_text().rpartition("=")[2]) * 1_000_000
            return Message.new_method_return(message)
        return None

    def _released(self, ours: int) -> None:
        asyncio.get_running_loop().remove_reader(ours)
        self._note("released")

    def is_held(self) -> bool:
        """Tell whether somebody has the newest lock."""
        poll = select.poll()
        poll.register(self.locks[-1], select.POLLIN)
        return not poll.poll(0)

    def tell(self, is_going_down: bool) -> None:
        message = Message.new_signal(logind.PATH, logind.MANAGER, "PrepareForShutdown", "b", [is_going_down])
        self._bus.send(message)


@contextlib.asynccontextmanager
async def on_bus(
    socket: Path, override: Path, note: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Played]:
    """Run a bus at socket, and logind on it."""
    file = socket.with_name("played.conf")
    file.write_text(CONFIG.format(socket=socket))
    command = ["dbus-daemon", f"--config-file={file}", "--nofork", "--nopidfile"]
    daemon = await asyncio.create_subprocess_exec(*command)
    try:
        while not socket.exists():
            assert daemon.returncode is None
            await asyncio.sleep(0.01)
        address = f"unix:path={socket}"
        own = await MessageBus(address, negotiate_unix_fd=True).connect()
        played = Played(own, override, note)
        for name in (logind.SERVICE, "org.freedesktop.systemd1"):
            assert await own.request_name(name) is RequestNameReply.PRIMARY_OWNER
        yield played
        own.disconnect()
    finally:
        daemon.kill()
        await daemon.wait()


async def main(socket: Path, override: Path) -> None:
    """Play until killed."""
    loop = asyncio.get_running_loop()
    async with on_bus(socket, override, lambda text: print(text, flush=True)) as played:
        loop.add_signal_handler(signal.SIGUSR1, played.tell, True)
        loop.add_signal_handler(signal.SIGUSR2, played.tell, False)
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
