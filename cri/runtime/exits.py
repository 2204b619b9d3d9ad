"""How a container's first process ended: reading its status, saying what it means, letting go of it."""

from __future__ import annotations

import os

from cri.runtime import verify
from cri.runtime.container import EXITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cri.runtime.container import Container


def peek(pid: int) -> int:
    """Return an ended child's wait status, which stays with the kernel until reap(): no crash loses it."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    return found.si_status << 8 if found.si_code == os.CLD_EXITED else found.si_status


def peek_orphan(pid: int, start_time: str) -> int | None:
    """Return the wait status of an ended process that its parent has not reaped; None = it lives, or is gone.

    start_time: clock ticks, so that no other process of that id is meant. Not for keeper's children: it notes
    their exits. Source: proc_pid_stat(5), fields 3, 4, 22 and 52, the last one 0 to whoever may not trace it.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        state, parent, started, status = fields[0], int(fields[1]), fields[19], int(fields[49])
        if state != "Z" or started != start_time or parent == os.getppid():
            return None
        if not status:
            with open(f"/proc/{pid}/io", "rb") as file:  # refused to whoever may not trace it
                file.read(1)
    except (OSError, IndexError):
        return None
    return status


def describe_death(made: Container, status: int | None) -> str:
    """Say why a process that was never told to go has ended."""
    if made.group.oom_kills():
        return "out of memory while the container was set up: the memory limit is too low"
    return f"the container's first process ended during set-up (status {status})"


def reap(child: int) -> None:
    """Let go of a process whose exit is noted; 0 = it is no child of ours."""
    if child:
        os.waitpid(child, 0)


def set_exit(made: Container, status: int | None, when: int) -> None:
    """Fill in code, time and reason. status: a wait status, None = unknown."""
    code = 255 if status is None else os.waitstatus_to_exitcode(status)
    made.exit_code = 128 - code if code < 0 else code
    made.finished_at = when
    made.phase = EXITED
    if made.reason == verify.REASON:
        pass
    elif status is None:
        made.reason = "Unknown"
    elif made.exit_code and made.group.oom_kills():
        made.reason = "OOMKilled"
    else:
        made.reason = "Error" if made.exit_code else "Completed"
    made.started_at = made.started_at or when
