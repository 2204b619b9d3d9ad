"""Thread-safe, blocking client of the supervisor and the log pump.

Every method may be called from any thread; each call in flight uses a connection of its own. All raise
RuntimeFault (cri.runtime.faults); kind Unavailable means that the supervisor is being restarted and the
call had no effect that state() would not show.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from cri.bundle.spec import Resources, Spec

Phase = Literal["created", "running", "exited"]


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What the supervisor knows about a container. Times are nanoseconds since the epoch, 0 = not yet.

    exit_code: 0..255, 128+N for death by signal N; reason: "", "Completed", "Error", "OOMKilled", "StartError" or
    "Unknown" (exit code 255: nothing of ours saw it end); message: cause of a StartError.
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


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """kind: created, started, exited, removed, or oom; state is the container's after it."""

    kind: str
    state: State


@dataclasses.dataclass(frozen=True, slots=True)
class ExecResult:
    """What a finished command wrote and how it ended."""

    stdout: bytes
    stderr: bytes
    exit_code: int


class ExecSession:
    """A command running in a container. Close it: a command still running is then killed.

    master: with a tty, the descriptor to read output from and write input to; -1 without.
    """

    pid: int
    master: int

    def wait(self, timeout_s: float | None = None) -> int:
        """Block until the command ends; its exit code. Raises DeadlineExceeded."""
        raise NotImplementedError

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size (tty only)."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kill the command (SIGKILL)."""
        raise NotImplementedError

    def close(self) -> None:
        """Release descriptors; kills a command still running."""
        raise NotImplementedError


class Attachment:
    """Descriptors joined to a running container's streams; the caller owns and closes them through close().

    stdin: write end or -1; stdout, stderr: read ends or -1 (a tty has only stdout); they end (EOF) with the container.
    """

    stdin: int
    stdout: int
    stderr: int

    def close_stdin(self) -> None:
        """End our input; the container sees EOF if it was made with stdin_once."""
        raise NotImplementedError

    def close(self) -> None:
        """Detach."""
        raise NotImplementedError


class RuntimeClient:
    """Requests to the supervisor below run_dir (sockets runtime.sock and logs.sock)."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def create(self, spec: Spec) -> State:
        """Make the container's cgroup and clone its process, which prepares everything and then waits for start().

        Returns before the preparation ends; its errors come from start(). Raises AlreadyExists, InvalidArgument.
        """
        raise NotImplementedError

    def start(self, container_id: str) -> State:
        """Execute the container's command; returns once execve(2) succeeded.

        Raises NotFound, FailedPrecondition (not in phase created), InvalidArgument with the cause (command not
        found, permission, mounts); the container is then exited with reason StartError, exit code 128.
        """
        raise NotImplementedError

    def kill(self, container_id: str, signal: int) -> None:
        """Send a signal to the container's first process; no error if it has exited."""
        raise NotImplementedError

    def stop(self, container_id: str, timeout_s: float) -> State:
        """Send the stop signal, after timeout_s kill everything in the cgroup; blocks until exited."""
        raise NotImplementedError

    def wait(self, container_id: str, timeout_s: float | None = None) -> State:
        """Block until the container is exited. Raises DeadlineExceeded, NotFound."""
        raise NotImplementedError

    def state(self, container_id: str) -> State:
        """Raises NotFound."""
        raise NotImplementedError

    def list(self) -> list[State]:
        """All containers and holders that were not removed."""
        raise NotImplementedError

    def remove(self, container_id: str) -> None:
        """Kill what is left, remove the cgroup and forget the container; no error if unknown. Leaves log and upper."""
        raise NotImplementedError

    def events(self) -> Iterator[Event]:
        """Yield events from now on, for ever; ends with Unavailable when the supervisor goes away (then list())."""
        raise NotImplementedError

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
        """Run a command in the container as its user, with its limits; stdio descriptors are duplicated, -1 = null.

        Raises InvalidArgument with the cause (not found, permission), FailedPrecondition if not running.
        """
        raise NotImplementedError

    def exec_sync(
        self, container_id: str, argv: Sequence[str], timeout_s: float = 0, limit: int = 16 << 20
    ) -> ExecResult:
        """Run a command to its end and collect its output (each stream at most limit bytes).

        timeout_s 0 = none. Raises DeadlineExceeded after killing the command.
        """
        raise NotImplementedError

    def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> Attachment:
        """Join the streams of a running container."""
        raise NotImplementedError

    def resize(self, container_id: str, rows: int, columns: int) -> None:
        """Set the size of the container's terminal; no effect without a tty."""
        raise NotImplementedError

    def reopen_log(self, container_id: str) -> None:
        """Open the log file by its name again, after it was renamed."""
        raise NotImplementedError

    def update_resources(self, container_id: str, resources: Resources) -> None:
        """Change limits of a live container; unset fields stay."""
        raise NotImplementedError

    def shutdown(self, *, remove: bool) -> None:
        """Stop keeper, supervisor, log pump and server; remove=True kills and forgets all containers first."""
        raise NotImplementedError
