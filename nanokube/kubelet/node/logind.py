"""systemd-logind by D-Bus: takes a delay lock on shutdowns, hears of them, lets them go on.

Source: https://systemd.io/INHIBITOR_LOCKS/, org.freedesktop.login1(5), logind.conf(5).
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from dbus_fast import Message, MessageType, errors
from dbus_fast.aio import MessageBus
from dbus_fast.constants import BusType

SERVICE: Final = "org.freedesktop.login1"
PATH: Final = "/org/freedesktop/login1"
MANAGER: Final = "org.freedesktop.login1.Manager"
# logind waits for no lock longer than its setting, 5 s by default; this raises it until the next boot.
OVERRIDE: Final = Path("/run/systemd/logind.conf.d/99-nanokube.conf")
RELOADS: Final = 50
RELOAD_S: Final = 0.1
CONNECT_S: Final = 10.0
FAULTS: Final = (OSError, errors.DBusError, errors.AuthError, EOFError)

Act = Callable[[bool], Awaitable[None]]


class Logind:
    """Implements nanokube.kubelet.node.shutdown.Host. address: of the bus; the system's by default."""

    def __init__(self, override: Path = OVERRIDE, address: str | None = None) -> None:
        self._override = override
        self._address = address
        self._lock = -1

    async def watch(self, needed_s: float, act: Act) -> None:
        """Hold shutdowns back and tell of them, until the bus ends. Raises OSError."""
        bus = MessageBus(self._address, BusType.SYSTEM, negotiate_unix_fd=True)
        heard: asyncio.Queue[bool] = asyncio.Queue()
        failed: BaseException | None = None
        try:
            async with asyncio.timeout(CONNECT_S):
                await bus.connect()
            bus.add_message_handler(lambda message: _hear(message, heard))
            async with asyncio.TaskGroup() as group:
                group.create_task(_fail_at_end(bus), name="end of the bus")
                group.create_task(self._follow(bus, heard, needed_s, act), name="shutdowns")
        except* FAULTS as group_of:
            failed = group_of.exceptions[0]
        finally:
            self.proceed()
            bus.disconnect()
        raise OSError(f"cannot use logind: {failed}") from failed

    async def _follow(self, bus: MessageBus, heard: asyncio.Queue[bool], needed_s: float, act: Act) -> None:
        await self._prepare(bus, needed_s)
        if await _property(bus, "PreparingForShutdown"):
            await act(True)  # it began while nobody held it back: what time is left is used
        else:
            self._lock = await _inhibit(bus)
        while True:
            is_going_down = await heard.get()
            if not is_going_down and self._lock < 0:
                self._lock = await _inhibit(bus)
            await act(is_going_down)

    def proceed(self) -> None:
        """Let go of the lock: the shutdown goes on."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _prepare(self, bus: MessageBus, needed_s: float) -> None:
        """Have logind wait long enough, and tell of shutdowns. Raises OSError, DBusError."""
        rule = f"type='signal',path='{PATH}',interface='{MANAGER}',member='PrepareForShutdown'"
        await _call(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "AddMatch", "s", [rule])
        if await _longest_s(bus) >= needed_s:
            return
        self._override.parent.mkdir(parents=True, exist_ok=True)
        self._override.write_text(f"[Login]\nInhibitDelayMaxSec={needed_s:.0f}\n")
        where = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
        body = ["systemd-logind.service", "all", int(signal.SIGHUP)]
        await _call(bus, *where, "KillUnit", "ssi", body, interface="org.freedesktop.systemd1.Manager")
        for _ in range(RELOADS):
            if await _longest_s(bus) >= needed_s:
                return
            await asyncio.sleep(RELOAD_S)
        raise OSError(
            f"logind waits no longer than {await _longest_s(bus):.0f} s though {self._override} asks"
        )


def _hear(message: Message, heard: asyncio.Queue[bool]) -> None:
    if (
        message.message_type is MessageType.SIGNAL
        and message.member == "PrepareForShutdown"
        and message.path == PATH
        and message.body
    ):
        heard.put_nowait(bool(message.body[0]))


async def _fail_at_end(bus: MessageBus) -> None:
    await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
    raise OSError("the bus has ended")


async def _inhibit(bus: MessageBus) -> int:
    """Take a delay lock; the descriptor is the caller's. Raises OSError, DBusError."""
    body = ["shutdown", "nanokube", "Pods end before the host does", "delay"]
    reply = await _call(bus, SERVICE, PATH, "Inhibit", "ssss", body, interface=MANAGER)
    return int(reply.unix_fds[reply.body[0]])


async def _longest_s(bus: MessageBus) -> float:
    return float(await _property(bus, "InhibitDelayMaxUSec")) / 1e6


async def _property(bus: MessageBus, name: str) -> Any:
    interface = "org.freedesktop.DBus.Properties"
    reply = await _call(bus, SERVICE, PATH, "Get", "ss", [MANAGER, name], interface=interface)
    return reply.body[0].value


async def _call(
    bus: MessageBus,
    service: str,
    path: str,
    member: str,
    signature: str,
    body: list[Any],
    *,
    interface: str = "org.freedesktop.DBus",
) -> Message:
    message = Message(
        destination=service, path=path, interface=interface, member=member, signature=signature, body=body
    )
    reply = await bus.call(message)
    if reply is None or reply.message_type is MessageType.ERROR:
        cause = reply.body[0] if reply is not None and reply.body else "no answer"
        raise OSError(f"{member}: {cause}")
    return reply
