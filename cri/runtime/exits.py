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
