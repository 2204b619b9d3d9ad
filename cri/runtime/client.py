"""Thread-safe, blocking client of the supervisor and the log pump.

Every method may be called from any thread; each call in flight uses a connection of its own. All raise
RuntimeFault (cri.runtime.faults); kind Unavailable means that the supervisor is being restarted and the
call had no effect that state() would not show.
"""

from __future__ import annotations

import contextlib
import dataclasses
import marshal
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from cri.bundle.spec import IdMap, Resources, Spec, to_wire
from cri.linux import pty
from cri.runtime import faults, packets
from cri.runtime.faults import RuntimeFault

Answer = tuple[dict[str, Any], list[int]]  # with descriptors, which are the receiver's
_CONNECT_TIMEOUT_S = 3.0  # how long a restart of the supervisor may take
_POOL_MAX = 16
# what may be asked of a restarted supervisor again, though the first one may have heard it
_REPEATABLE = frozenset(
    ("state", "list", "wait", "stop", "remove", "input", "close_input", "terminal", "limit", "ping")
)

Phase = Literal["created", "running", "exited"]


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What the supervisor knows about a container. Times are nanoseconds since the epoch, 0 = not yet.

    exit_code: 0..255, 128+N for death by signal N; reason: "", "Completed", "Error", "OOMKilled",
    "StartError" or "Unknown" (code 255: nothing of ours saw it end); message: cause of a StartError.
    """

    id: str
    sandbox_id: str
    phase: Phase
    pid: int
    cgroup: str
    created_at: int
    started_at: int
    finished_at: int
    exit_code: int
    reason: str
    message: str


States = list[State]


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """kind: created, started, resumed, exited, removed, or oom; state is the container's after it.

    resumed: it runs, and who has started it was not told so: server or supervisor were others then.
    """

    kind: str
    state: State


@dataclasses.dataclass(frozen=True, slots=True)
class ExecResult:
    """What a finished command wrote and how it ended."""

    stdout: bytes
    stderr: bytes
    exit_code: int


_DEATH_S = 2.0  # in which a killed command is waited for; one in the middle of a disk's work takes longer


class ExecSession:
    """A command running in a container. Close it: a command still running is then killed.

    master: with a tty, the descriptor to read output from and write input to (the session's); -1 without.
    """

    def __init__(
        self, connection: socket.socket, pid: int, master: int, release: Callable[[socket.socket], None]
    ) -> None:
        self.pid = pid
        self.master = master
        self._connection: socket.socket | None = connection
        self._release = release  # takes a connection on which nothing more will come
        self._holding = threading.Lock()  # a kill must not reach who has the connection after us
        self._exit_code: int | None = None
        self._lock = threading.Lock()

    def wait(self, timeout_s: float | None = None) -> int:
        """Block until the command ends; its exit code. Raises DeadlineExceeded."""
        with self._lock:
            if self._exit_code is None:
                if self._connection is None:
                    raise RuntimeFault(faults.UNAVAILABLE, "the session is closed")
                self._connection.settimeout(timeout_s)
                answer, _ = _answer(self._connection)
                self._exit_code = int(answer["exit"])
            return self._exit_code

    def fileno(self) -> int:
        """A descriptor that is readable once the command has ended: wait() then does not block."""
        return -1 if self._connection is None else self._connection.fileno()

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size (tty only)."""
        if self.master >= 0:
            pty.set_size(self.master, rows, columns)

    def kill(self) -> None:
        """Kill the command (SIGKILL); wait() tells the exit. No error if it has ended."""
        with self._holding, contextlib.suppress(OSError):
            if self._connection is not None:
                packets.send(self._connection, {"op": "end"})

    def close(self) -> None:
        """Release descriptors; kills a command still running."""
        with self._holding:
            connection, self._connection = self._connection, None
        if connection is not None:
            if self._exit_code is None:
                connection.close()
            else:
                connection.settimeout(None)
                self._release(connection)
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def __enter__(self) -> ExecSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Attachment:
    """Descriptors joined to a running container's streams; close() closes them.

    stdin: write end or -1; stdout, stderr: read ends or -1 (a tty has only stdout); these end (EOF) with the
    container. With a tty stdin is the terminal's master: do not read from it.
    """

    def __init__(self, client: RuntimeClient, container_id: str, *, once: bool, tty: bool) -> None:
        self.stdin = self.stdout = self.stderr = -1
        self.tty = tty
        self._client = client
        self._id = container_id
        self._once = once

    @property
    def ends_input(self) -> bool:
        """Whether the container's input ends with ours."""
        return self._once and not self.tty

    def close_stdin(self) -> None:
        """End our input; the container sees EOF if it was made with stdin_once (and has no tty)."""
        if self.stdin < 0:
            return
        os.close(self.stdin)
        self.stdin = -1
        if self.ends_input:
            with contextlib.suppress(RuntimeFault):
                self._client.close_stdin(self._id)

    def close(self) -> None:
        """Detach."""
        self.close_stdin()
        for fd in (self.stdout, self.stderr):
            if fd >= 0:
                os.close(fd)
        self.stdout = self.stderr = -1


class RuntimeClient:
    """Requests to the supervisor below run_dir (sockets runtime.sock and logs.sock)."""

    def __init__(self, run_dir: Path) -> None:
        self._runtime = str(run_dir / "runtime.sock")
        self._logs = str(run_dir / "logs.sock")
        self._records = run_dir / "c"
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def create(self, spec: Spec) -> State:
        """Make the container's cgroup and clone its process, which prepares everything and waits for start().

        Returns before the preparation ends; its errors come from start(). Raises AlreadyExists,
        InvalidArgument, FailedPrecondition (the container whose PID namespace is joined has exited).
        """
        return _state(self._call({"op": "create", "spec": to_wire(spec)}))

    def namespaces(self, uid_map: IdMap, gid_map: IdMap) -> dict[str, int]:
        """Make a user namespace with these mappings and its own net, ipc, uts; kind to descriptor (yours)."""
        _, fds = self._call_fds({"op": "namespaces", "uid_map": uid_map, "gid_map": gid_map})
        return dict(zip(("user", "net", "ipc", "uts"), fds, strict=True))

    def start(self, container_id: str) -> State:
        """Execute the container's command; returns once execve(2) succeeded.

        Raises NotFound, FailedPrecondition (not in phase created), InvalidArgument with the cause (command
        not found, permission, mounts); the container is then exited, reason StartError, exit code 128.
        """
        return _state(self._call({"op": "start", "id": container_id}))

    def kill(self, container_id: str, signal: int) -> None:
        """Send a signal to the container's first process; no error if it has exited."""
        self._call({"op": "kill", "id": container_id, "signal": int(signal)})

    def stop(
        self, container_id: str, timeout_s: float, wait_s: float | None = None, given_up: int = -1
    ) -> State:
        """Send the stop signal, after timeout_s kill everything in the cgroup; blocks until exited.

        timeout_s <= 0 kills at once. A container that was not started is exited as well, with code 137.
        given_up: a descriptor that becomes readable when nobody waits for the end.
        Raises DeadlineExceeded after wait_s, or for given_up; the container is being stopped all the same.
        """
        until = time.monotonic() + timeout_s  # as every process of the host counts, over restarts
        request = {"op": "stop", "id": container_id, "until": until}
        return _state(self._call(request, timeout_s=wait_s, given_up=given_up))

    def wait(self, container_id: str, timeout_s: float | None = None) -> State:
        """Block until the container is exited. Raises DeadlineExceeded, NotFound."""
        return _state(self._call({"op": "wait", "id": container_id}, timeout_s=timeout_s))

    def state(self, container_id: str) -> State:
        """What is known of a container. Raises NotFound."""
        return _state(self._call({"op": "state", "id": container_id}))

    def spec(self, container_id: str) -> dict[str, Any]:
        """Return what a container was created from, as to_wire gave it. Raises NotFound."""
        try:
            return dict(marshal.loads((self._records / container_id / "spec").read_bytes()))
        except FileNotFoundError as err:
            message = f"cannot find the specification of container {container_id!r}: not found"
            raise RuntimeFault(faults.NOT_FOUND, message) from err

    def list(self) -> States:
        """All containers and holders that were not removed."""
        return [_state(state) for state in self._call({"op": "list"})["states"]]

    def remove(self, container_id: str) -> None:
        """Kill what is left, remove the cgroup and forget the container; no error if it is unknown.

        Leaves log and upper directory. Blocks until the container's first process is gone.
        """
        self._call({"op": "remove", "id": container_id})

    def events(self, *kinds: str) -> Iterator[Event]:
        """Yield events (of these kinds) from now on, for ever.

        Raises Unavailable when the supervisor goes away (then list()). The subscription is made before this
        returns, so list() after it misses nothing.
        """
        connection = _connect(self._runtime)
        _send(connection, {"op": "subscribe", "kinds": kinds})
        _answer(connection)
        return _stream(connection)

    def exec(
        self,
        container_id: str,
        argv: Sequence[str],
        *,
        tty: bool = False,
        stdin: int = -1,
        stdout: int = -1,
        stderr: int = -1,
    ) -> ExecSession:
        """Run a command in the container as its user, with its limits; -1 = null.

        stdio descriptors are duplicated: close your copies after this returns, or output has no end.
        Raises InvalidArgument with the cause (not found, permission), FailedPrecondition if not running.
        """
        stdio = (-1, -1, -1) if tty else (stdin, stdout, stderr)
        request = {
            "op": "exec",
            "id": container_id,
            "argv": tuple(argv),
            "tty": tty,
            "stdio": tuple([fd >= 0 for fd in stdio]),
        }
        connection = self._take()
        try:
            given = [fd for fd in stdio if fd >= 0]
            try:
                _send(connection, request, given)
            except RuntimeFault:  # an idle connection to a supervisor that is gone
                connection.close()
                connection = _connect(self._runtime)
                _send(connection, request, given)
            answer, fds = _answer(connection)
        except BaseException:
            connection.close()
            raise
        return ExecSession(connection, answer["pid"], fds[0] if fds else -1, self._give_back)

    def exec_sync(
        self,
        container_id: str,
        argv: Sequence[str],
        timeout_s: float = 0,
        limit: int = 16 << 20,
        given_up: int = -1,
    ) -> ExecResult:
        """Run a command to its end and collect its output (each stream at most limit bytes).

        timeout_s 0 = none. given_up: a descriptor that becomes readable when nobody wants the result.
        Raises DeadlineExceeded after killing the command, for either.
        """
        deadline = time.monotonic() + timeout_s if timeout_s > 0 else None
        (out, out_writer), (err, err_writer) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        try:
            try:
                session = self.exec(container_id, argv, stdout=out_writer, stderr=err_writer)
            finally:
                os.close(out_writer)
                os.close(err_writer)
            with session:
                try:
                    stdout, stderr = _collect((out, err), limit, deadline, given_up)
                    _await(session.fileno(), deadline, given_up)
                except RuntimeFault:
                    session.kill()
                    with contextlib.suppress(RuntimeFault):
                        session.wait(_DEATH_S)
                    raise
                return ExecResult(stdout, stderr, session.wait())
        finally:
            os.close(out)
            os.close(err)

    def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> Attachment:
        """Join the streams of a running container. Raises NotFound, FailedPrecondition."""
        if self.state(container_id).phase != "running":
            raise RuntimeFault(faults.FAILED_PRECONDITION, f"cannot attach to {container_id}: not running")
        answer, fds = self._call_fds({"op": "input", "id": container_id})
        joined = Attachment(self, container_id, once=answer["once"], tty=answer["tty"])
        if stdin and fds:
            joined.stdin = fds.pop()
        for fd in fds:
            os.close(fd)
        wanted = (stdout, stderr and not joined.tty)
        writers = []
        try:
            if wanted[0]:
                joined.stdout, writer = os.pipe2(os.O_CLOEXEC)
                writers.append(writer)
            if wanted[1]:
                joined.stderr, writer = os.pipe2(os.O_CLOEXEC)
                writers.append(writer)
            self._call_logs({"op": "tap", "id": container_id, "streams": wanted}, writers)
        except BaseException:
            joined.close()
            raise
        finally:
            for writer in writers:
                os.close(writer)
        return joined

    def close_stdin(self, container_id: str) -> None:
        """End the container's input for good (it sees EOF once no attached client holds it)."""
        self._call({"op": "close_input", "id": container_id})

    def resize(self, container_id: str, rows: int, columns: int) -> None:
        """Set the size of the container's terminal; no effect without a tty."""
        _, fds = self._call_fds({"op": "terminal", "id": container_id})
        for fd in fds:
            try:
                pty.set_size(fd, rows, columns)
            finally:
                os.close(fd)

    def reopen_log(self, container_id: str) -> None:
        """Open the log file by its name again, after it was renamed. Raises NotFound."""
        self.state(container_id)
        self._call_logs({"op": "reopen", "id": container_id})

    def update_resources(self, container_id: str, resources: Resources) -> None:
        """Change limits of a live container; unset fields stay."""
        self._call({"op": "limit", "id": container_id, "resources": to_wire(resources)})

    def shutdown(self, *, remove: bool) -> None:
        """Stop keeper, supervisor, log pump and server; remove: kill and forget all containers first."""
        if remove:
            for state in self.list():
                self.remove(state.id)
        self._call({"op": "shutdown", "remove": remove})

    def _call(
        self, request: dict[str, Any], *, timeout_s: float | None = None, given_up: int = -1
    ) -> dict[str, Any]:
        answer, fds = self._call_fds(request, timeout_s, given_up)
        for fd in fds:
            os.close(fd)
        return answer

    def _call_fds(
        self, request: dict[str, Any], timeout_s: float | None = None, given_up: int = -1
    ) -> Answer:
        give_up = 0.0
        while True:
            try:
                return self._try(request, timeout_s, given_up)
            except RuntimeFault as fault:
                if fault.kind != faults.UNAVAILABLE or request["op"] not in _REPEATABLE:
                    raise
                give_up = give_up or time.monotonic() + _CONNECT_TIMEOUT_S
                if time.monotonic() > give_up:
                    raise

    def _try(self, request: dict[str, Any], timeout_s: float | None, given_up: int) -> Answer:
        connection = self._take()
        try:
            try:
                _send(connection, request)
            except RuntimeFault:  # an idle connection to a supervisor that is gone
                connection.close()
                connection = _connect(self._runtime)
                _send(connection, request)
            if given_up >= 0:
                deadline = None if timeout_s is None else time.monotonic() + timeout_s
                _await(connection.fileno(), deadline, given_up)
            connection.settimeout(timeout_s)
            result = _answer(connection)
            connection.settimeout(None)
        except RuntimeFault as fault:
            if fault.kind in (faults.UNAVAILABLE, faults.DEADLINE_EXCEEDED):
                connection.close()  # its answer would come late, to another request
            else:
                connection.settimeout(None)
                self._give_back(connection)
            raise
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return result

    def _call_logs(self, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
        with _connect(self._logs) as connection:
            _send(connection, request, fds)
            _answer(connection)

    def _take(self) -> socket.socket:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _connect(self._runtime)

    def _give_back(self, connection: socket.socket) -> None:
        with self._lock:
            if len(self._idle) < _POOL_MAX:
                self._idle.append(connection)
                return
        connection.close()


def _stream(connection: socket.socket) -> Iterator[Event]:
    with connection:
        while True:
            event, _ = _answer(connection)
            yield Event(event["event"], _state(event["state"]))


def _connect(path: str) -> socket.socket:
    deadline = time.monotonic() + _CONNECT_TIMEOUT_S
    while True:
        try:
            return packets.connect(path)
        except OSError as error:
            if time.monotonic() > deadline:
                raise RuntimeFault(faults.UNAVAILABLE, f"cannot connect to {path}: {error}") from error
            time.sleep(0.02)


def _send(connection: socket.socket, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
    try:
        packets.send(connection, request, fds)
    except OSError as error:
        raise RuntimeFault(faults.UNAVAILABLE, f"cannot reach the supervisor: {error}") from error


def _answer(connection: socket.socket) -> Answer:
    try:
        received = packets.receive(connection)
    except TimeoutError as error:
        raise RuntimeFault(faults.DEADLINE_EXCEEDED, "time is up") from error
    except OSError as error:
        raise RuntimeFault(faults.UNAVAILABLE, f"cannot reach the supervisor: {error}") from error
    if received is None:
        raise RuntimeFault(faults.UNAVAILABLE, "the supervisor went away")
    answer, fds = received
    if "error" in answer:
        raise RuntimeFault(*answer["error"])
    return answer, fds


def _state(answer: dict[str, Any]) -> State:
    return State(**answer)


def _collect(fds: Sequence[int], limit: int, deadline: float | None, given_up: int) -> list[bytes]:
    """Read pipes to their ends or the deadline; beyond limit bytes a pipe is read but not kept."""
    parts: list[list[bytes]] = [[] for _ in fds]
    room = [limit] * len(fds)
    open_ends = len(fds)
    with selectors.DefaultSelector() as selector:
        for index, fd in enumerate(fds):
            selector.register(fd, selectors.EVENT_READ, index)
        if given_up >= 0:
            selector.register(given_up, selectors.EVENT_READ)
        while open_ends:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            for key, _ in selector.select(left):
                if key.fd == given_up:
                    raise RuntimeFault(faults.DEADLINE_EXCEEDED, "the caller gave up")
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fd)
                    open_ends -= 1
                parts[key.data].append(data[: room[key.data]])
                room[key.data] -= len(parts[key.data][-1])
    return [b"".join(p) for p in parts]


def _await(fd: int, deadline: float | None, given_up: int) -> None:
    """Wait until fd is readable. Raises DeadlineExceeded."""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        if given_up >= 0:
            selector.register(given_up, selectors.EVENT_READ)
        left = None if deadline is None else max(deadline - time.monotonic(), 0.001)
        if fd not in {key.fd for key, _ in selector.select(left)}:
            raise RuntimeFault(faults.DEADLINE_EXCEEDED, "time is up")
