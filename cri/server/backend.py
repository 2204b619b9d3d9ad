"""The runtime as the streaming server sees it: sessions of descriptors over the supervisor's client."""

import os
import socket
from collections.abc import Callable, Iterable, Sequence

from cri import faults
from cri.network import sandbox
from cri.network.worker import NetworkWorker
from cri.runtime import client as runtime
from cri.runtime.faults import DEADLINE_EXCEEDED, RuntimeFault
from cri.server.waiting import Exits
from cri.store import records
from cri.store.store import Store
from cri.streaming.backend import Session, StreamFault

ExitCallback = Callable[[int], None]
_NOW_S = 0.001


class RuntimeBackend:
    """Implements cri.streaming.backend.Backend. Thread-safe; every method may block."""

    def __init__(self, store: Store, client: runtime.RuntimeClient, worker: NetworkWorker) -> None:
        self._store = store
        self._client = client
        self._worker = worker
        self._exits = Exits()

    def exec(
        self, container_id: str, argv: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Session:
        """Start a process in a running container. Raises StreamFault."""
        try:
            if tty:
                return _TerminalSession(self._exits, self._client.exec(container_id, argv, tty=True))
            return _exec_piped(self._exits, self._client, container_id, argv, (stdin, stdout, stderr))
        except RuntimeFault as err:
            raise StreamFault(str(err)) from err

    def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> Session:
        """Join a running container's streams. Raises StreamFault."""
        try:
            attachment = self._client.attach(container_id, stdin=stdin, stdout=stdout, stderr=stderr)
        except RuntimeFault as err:
            raise StreamFault(str(err)) from err
        return _AttachSession(self._client, self._store, container_id, attachment)

    def connect(self, sandbox_id: str, port: int) -> socket.socket:
        """Connect to a port on a sandbox's loopback. Raises StreamFault, OSError."""
        try:
            record = self._store.sandboxes.get(sandbox_id)
        except faults.RuntimeFault as err:
            raise StreamFault(str(err)) from err
        return self._worker.run(sandbox.connect, record.namespaces.get("net", ""), port)


class _ExecSession:
    """What a session over an exec'd process has, with or without a terminal."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None

    def __init__(self, exits: Exits, session: runtime.ExecSession) -> None:
        self._exits = exits
        self._session = session

    def on_exit(self, callback: ExitCallback) -> None:
        def has_ended() -> bool:
            code = records.UNKNOWN_EXIT_CODE
            try:
                code = self._session.wait(_NOW_S)
            except RuntimeFault as err:
                if err.kind == DEADLINE_EXCEEDED:  # the descriptor was another session's before
                    return False
            callback(code)
            return True

        self._exits.watch(self._session.fileno(), has_ended)

    def resize(self, width: int, height: int) -> None:
        self._session.resize(height, width)

    def stdin_closed(self) -> bool:
        """The pipe's end of file is enough."""
        return False

    def close(self) -> None:
        self._exits.forget(self._session.fileno())
        self._session.close()


class _PipedSession(_ExecSession):
    def __init__(self, exits: Exits, session: runtime.ExecSession, ours: Sequence[int | None]) -> None:
        super().__init__(exits, session)
        self.stdin, self.stdout, self.stderr = ours


class _TerminalSession(_ExecSession):
    """The server closes what it is given, so it gets a duplicate of the terminal's controlling side."""

    def __init__(self, exits: Exits, session: runtime.ExecSession) -> None:
        super().__init__(exits, session)
        self.stdin = self.stdout = _duplicate(session.master)


class _AttachSession:
    def __init__(
        self, client: runtime.RuntimeClient, store: Store, identity: str, attachment: runtime.Attachment
    ) -> None:
        self._client = client
        self._store = store
        self._identity = identity
        self._attachment = attachment
        self._forget: Callable[[], None] | None = None
        self.stdin = _duplicate(attachment.stdin) if attachment.stdin >= 0 else None
        self.stdout = _duplicate(attachment.stdout) if attachment.stdout >= 0 else None
        self.stderr = _duplicate(attachment.stderr) if attachment.stderr >= 0 else None

    def on_exit(self, callback: ExitCallback) -> None:
        def has_ended(record: records.Container | None) -> bool:
            return record is None or record.state is records.ContainerState.EXITED

        self._forget = self._store.containers.when(self._identity, has_ended, lambda: callback(0))

    def resize(self, width: int, height: int) -> None:
        self._client.resize(self._identity, height, width)

    def stdin_closed(self) -> bool:
        self._attachment.close_stdin()
        return not self._attachment.ends_input

    def close(self) -> None:
        if self._forget is not None:
            self._forget()
        self._attachment.close()


def _exec_piped(
    exits: Exits,
    client: runtime.RuntimeClient,
    container_id: str,
    argv: Sequence[str],
    wanted: Sequence[bool],
) -> Session:
    """Start a process with a pipe for each wanted stream of stdin, stdout, stderr."""
    theirs: list[int] = []
    ours: list[int | None] = []
    try:
        for number, is_wanted in enumerate(wanted):
            read, write = os.pipe2(os.O_CLOEXEC) if is_wanted else (-1, -1)
            theirs.append(read if number == 0 else write)
            ours.append((write if number == 0 else read) if is_wanted else None)
        session = client.exec(container_id, argv, stdin=theirs[0], stdout=theirs[1], stderr=theirs[2])
        return _PipedSession(exits, session, ours)
    except BaseException:
        _close_all(fd for fd in ours if fd is not None)
        raise
    finally:
        _close_all(fd for fd in theirs if fd >= 0)


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


def _duplicate(fd: int) -> int:
    return os.dup(fd)
