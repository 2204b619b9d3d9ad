"""Carries bytes between a client and a process until the process has exited and its output is sent."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

from cri.streaming import backend as backends
from cri.streaming import claim
from cri.streaming.clients import Client
from cri.wire import remotecommand
from cri.wire.aio import descriptors, race
from cri.wire.errors import RemoteProtocolError

DRAIN_IDLE_S = 0.5  # after the exit: how long a descendant may hold an output open without writing
DISCARD_S = 0.01  # a pause between pieces of output that nobody hears any more


Call = Callable[[Callable[[], Any]], asyncio.Future[Any]]
"""Runs a blocking function on a worker thread."""


class Command:
    """One session being served. run() takes the descriptors over and closes them."""

    def __init__(self, session: backends.Session, client: Client, call: Call) -> None:
        self._session, self._client, self._call = session, client, call
        self._stdin, self._stdout, self._stderr = session.stdin, session.stdout, session.stderr
        self._reading: dict[str, int] = {}  # output that waits for the process: how often it was read
        self._ended: asyncio.Future[int] | None = None
        self._is_detached = False
        self._fds = {fd for fd in (self._stdin, self._stdout, self._stderr) if fd is not None}

    async def run(self) -> int:
        """Return the exit code once all output is with the client. Raises ConnectionError."""
        for fd in self._fds:
            os.set_blocking(fd, False)
        self._ended = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.TaskGroup() as group:
                inputs = [group.create_task(self._pump_stdin()), group.create_task(self._pump_sizes())]
                outputs = [
                    group.create_task(self._pump_output(fd, role))
                    for fd, role in (
                        (self._stdout, remotecommand.STDOUT),
                        (self._stderr, remotecommand.STDERR),
                    )
                    if fd is not None
                ]
                code = await self._exit_code()
                await (self._take_rest(outputs) if self._is_detached else self._drain(outputs))
                for task in (*inputs, *outputs):
                    task.cancel()
        except ExceptionGroup as group_error:
            raise race.leaf(group_error) from group_error
        finally:
            for fd in self._fds:
                descriptors.close(fd)
        return code

    async def _exit_code(self) -> int:
        assert self._ended is not None
        loop = asyncio.get_running_loop()
        exited = self._ended

        def report(code: int) -> None:
            if not exited.done():
                exited.set_result(code)

        def from_any_thread(code: int) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
                loop.call_soon_threadsafe(report, code)

        await self._call(lambda: self._session.on_exit(from_any_thread))
        return await exited

    async def _pump_stdin(self) -> None:
        try:
            while data := await self._input():
                if self._stdin is not None:
                    await descriptors.write(self._stdin, data)
        except BrokenPipeError:
            self._client.stdin.discard()  # the process reads no more; its exit ends the session
            return
        if self._stdin is None:
            return
        if self._stdin != self._stdout:
            self._fds.discard(self._stdin)
            descriptors.close(self._stdin)
        is_over = await self._call(self._session.stdin_closed)
        if is_over and self._ended is not None and not self._ended.done():
            self._is_detached = True
            self._ended.set_result(0)

    async def _input(self) -> bytes:
        try:
            return await self._client.stdin.take()
        except ConnectionResetError:
            return b""  # the client left: the process shall read what it said, then the end

    async def _pump_sizes(self) -> None:
        decoder = remotecommand.SizeDecoder()
        while data := await self._client.sizes.take():
            try:
                for size in decoder.receive(data):
                    await self._resize(size)
            except RemoteProtocolError:
                self._client.sizes.discard()  # as upstream: the session goes on without
                return

    async def _resize(self, size: remotecommand.Size) -> None:
        if size.width and size.height:
            with contextlib.suppress(OSError, backends.StreamFault):  # the terminal may just have gone
                await self._call(lambda: self._session.resize(size.width, size.height))

    async def _pump_output(self, fd: int, role: str) -> None:
        count = 0
        while True:
            count += 1
            self._reading[role] = count
            data = await descriptors.read(fd)
            del self._reading[role]
            if not data:
                return
            try:
                await self._client.write(role, data)
            except ConnectionError:
                await asyncio.sleep(DISCARD_S)  # the client left; the process may be reading what it said

    async def _take_rest(self, outputs: list[asyncio.Task[None]]) -> None:
        """Wait a moment for what the last input brings about; the process goes on without us."""
        if outputs:
            await asyncio.wait(outputs, timeout=DRAIN_IDLE_S)

    async def _drain(self, outputs: list[asyncio.Task[None]]) -> None:
        """Wait until outputs end, or stay silent while nobody but a left-over descendant holds them open."""
        seen: dict[str, int] = {}
        while outputs:
            _, pending = await asyncio.wait(outputs, timeout=DRAIN_IDLE_S)
            if not pending or (len(self._reading) == len(pending) and seen == self._reading):
                return
            seen = dict(self._reading)


async def serve(
    client: Client, open_session: Callable[[], backends.Session], call: Call, verb: str = "exec"
) -> None:
    """Start the session, carry it through and report its end to the client. Raises ConnectionError.

    verb: an "attach" ends well whatever the container's exit code is, which the Pod's status tells.
    """
    try:
        session = await claim.claim(call(open_session), lambda late: _abandon(late, call))
    except (OSError, backends.StreamFault) as err:
        await client.finish(remotecommand.failure_status(f"cannot {verb}: {err}"))
        return
    try:
        code = await Command(session, client, call).run()
        await client.finish(remotecommand.exit_status(code if verb == "exec" else 0))
    finally:
        await asyncio.shield(call(session.close))


def _abandon(session: backends.Session, call: Call) -> None:
    """Close a session that came after its client had gone."""
    for fd in {session.stdin, session.stdout, session.stderr}:
        descriptors.close(fd)
    try:
        call(session.close)
    except RuntimeError:  # the server is stopping: no worker takes it any more
        session.close()
