"""An exec session as the supervisor holds it: from the request to the exit code, tied to one connection."""

from __future__ import annotations

import os
import socket

from cri.runtime import faults, packets, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cri.runtime.container import Container
    from cri.runtime.supervisor import Supervisor


class Session:
    """Answers twice on its connection: {"pid"} (+ terminal) once execve succeeded, {"exit"} at the end.

    A connection that ends before kills the command.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        container: Container,
        connection: socket.socket,
        request: dict[str, Any],
        fds: list[int],
    ) -> None:
        self.connection = connection
        self._supervisor = supervisor
        self._error = ""
        self._master = -1
        self._told = False
        base = container.spec["process"]
        process = {**base, "argv": request["argv"], "tty": request["tty"]}
        process["env"] = base["env"] + (
            ("TERM=xterm",) if request["tty"] and not _has_term(base["env"]) else ()
        )
        given = iter(fds)
        stdin, stdout, stderr = (next(given) if present else -1 for present in request["stdio"])
        self.pid, self.pidfd, self._control = spawn.spawn_session(container, process, (stdin, stdout, stderr))
        supervisor.sessions[self.pidfd] = self
        supervisor.loop.add(self.pidfd, self._ended)
        supervisor.loop.add(self._control.fileno(), self._on_control)

    def abandon(self) -> None:
        """The client is gone: end the command."""
        spawn.kill(self.pidfd, 9)

    def _on_control(self) -> None:
        while self._control.fileno() >= 0:
            try:
                received = packets.receive(self._control)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self._supervisor.loop.remove(self._control.fileno())
                self._control.close()
                self._tell()
                return
            (kind, text), fds = received
            if kind == "master":
                self._master = fds[0]
            else:
                self._error = text

    def _tell(self) -> None:
        self._told = True
        if self._error:
            answer: Any = {"error": (faults.INVALID_ARGUMENT, f"failed to exec in container: {self._error}")}
        else:
            answer = {"pid": self.pid}
        self._supervisor.reply(self.connection, answer, [self._master] if self._master >= 0 else [])
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _ended(self) -> None:
        supervisor = self._supervisor
        _, status = os.waitpid(self.pid, 0)
        supervisor.loop.remove(self.pidfd)
        del supervisor.sessions[self.pidfd]
        os.close(self.pidfd)
        if not self._told:
            self._on_control()
        if not self._error:
            code = os.waitstatus_to_exitcode(status)
            supervisor.reply(self.connection, {"exit": 128 - code if code < 0 else code})


def _has_term(env: tuple[str, ...]) -> bool:
    return any(entry.startswith("TERM=") for entry in env)
