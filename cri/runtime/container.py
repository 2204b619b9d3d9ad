"""One container as the supervisor holds it, and its record under the run directory.

    created --start--> starting --execve--> running --exit--> exited
       \\------------ set-up failed, or execve failed ----------^

Record directory <run>/c/<id>/: spec (marshal, written once), state (marshal, replaced by rename at every
change, before the change is acted on or told), in, out, err (FIFOs). The run directory dies with the boot, as
containers do: nothing is synced.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import socket

from cri import failpoint
from cri.cgroup.group import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cri.cgroup.hierarchy import Hierarchies

CREATED, STARTING, RUNNING, EXITED = "created", "starting", "running", "exited"
_PERSISTED = (
    "phase",
    "pid",
    "identity",
    "created_at",
    "started_at",
    "finished_at",
    "exit_code",
    "reason",
    "message",
)


class Container:
    """State of one container. pid 0 and pidfd -1 = no process; is_child = it is ours to wait for."""

    __slots__ = (
        *_PERSISTED,
        "control",
        "directory",
        "flush_timer",
        "group",
        "is_child",
        "is_outer",
        "is_published",
        "master",
        "on_born",
        "on_exit",
        "on_start",
        "pidfd",
        "setup_error",
        "spec",
        "stdin",
    )

    def __init__(self, spec: dict[str, Any], directory: str, hierarchies: Hierarchies) -> None:
        self.spec = spec
        self.directory = directory
        self.group = Group(hierarchies, spec["cgroup"])
        self.phase = CREATED
        self.pid = 0
        self.identity = ""
        self.created_at = self.started_at = self.finished_at = 0
        self.exit_code = 0
        self.reason = self.message = ""
        self.pidfd = self.master = self.stdin = -1
        self.is_child = False
        self.is_outer = (
            False  # the process is still the one outside of the user namespace (cri.runtime.userns)
        )
        self.on_born: Callable[[], None] | None = None
        self.is_published = False  # the exit was told
        self.control: socket.socket | None = None
        self.setup_error = ""
        self.on_start: Callable[[str], None] | None = None
        self.on_exit: list[Callable[[], None]] = []
        self.flush_timer: Any = None

    @property
    def id(self) -> str:
        """The container's id."""
        return str(self.spec["id"])

    def path(self, name: str) -> str:
        """A file of the record directory."""
        return f"{self.directory}/{name}"

    def make_record(self) -> None:
        """Write the intent: directory, spec and first state. Raises FileExistsError."""
        os.mkdir(self.directory, 0o700)
        _replace(self.path("spec"), marshal.dumps(self.spec))
        failpoint.hit("supervisor.half_recorded")
        self.save()

    def save(self) -> None:
        """Replace the state file (atomic)."""
        _replace(self.path("state"), marshal.dumps({name: getattr(self, name) for name in _PERSISTED}))

    def drop_record(self) -> None:
        """Remove the record directory."""
        remove_record(self.directory)

    def state(self) -> dict[str, Any]:
        """What clients see."""
        is_told = self.phase != EXITED or self.is_published
        shown = CREATED if self.phase == STARTING else self.phase if is_told else RUNNING
        return {
            "id": self.id,
            "sandbox_id": self.spec["sandbox_id"],
            "phase": shown,
            "pid": self.pid,
            "cgroup": self.spec["cgroup"],
            "created_at": self.created_at,
            "started_at": self.started_at,
            "finished_at": self.finished_at if is_told else 0,
            "exit_code": self.exit_code if is_told else 0,
            "reason": self.reason if is_told else "",
            "message": self.message,
        }


def load(directory: str, hierarchies: Hierarchies) -> Container | None:
    """Read a record; None if it is no whole one (a create that was cut off before its first state)."""
    try:
        with open(f"{directory}/spec", "rb") as file:
            spec = marshal.load(file)
        with open(f"{directory}/state", "rb") as file:
            state = marshal.load(file)
        container = Container(spec, directory, hierarchies)
    except (OSError, ValueError, EOFError, TypeError, KeyError):
        return None
    for name in _PERSISTED:
        setattr(container, name, state[name])
    return container


def remove_record(directory: str) -> None:
    """Remove a record directory, which is flat; what fails stays for the next start to remove."""
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            os.unlink(f"{directory}/{name}")
        os.rmdir(directory)


def _replace(path: str, data: bytes) -> None:
    temporary = f"{path}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(temporary, path)
