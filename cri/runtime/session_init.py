"""The last Python of a command executed in a running container (exec): join, become, execute.

Born in the container's PID namespace and cgroup; joins the other namespaces by the container's pidfd.
"""

from __future__ import annotations

import os
import stat

from cri.linux import clone, keyring, labels, prctl, pty
from cri.linux.openat2 import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2
from cri.runtime import init, packets, process, userns

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, NoReturn

    from cri.cgroup.group import Group

_NAMESPACES = (
    clone.CLONE_NEWNS | clone.CLONE_NEWUTS | clone.CLONE_NEWIPC | clone.CLONE_NEWNET | clone.CLONE_NEWCGROUP
)


class Job:
    """What the supervisor hands to the child. stdio: -1 = null."""

    __slots__ = ("control", "group", "process", "spec", "stdio", "target")

    def __init__(
        self,
        target: int,
        spec: dict[str, Any],
        command: dict[str, Any],
        control: socket.socket,
        stdio: tuple[int, int, int],
        group: Group,
    ) -> None:
        self.target = target
        self.spec = spec
        self.process = command
        self.control = control
        self.stdio = stdio
        self.group = group


def run(job: Job) -> NoReturn:
    """Enter the container and execute; never returns."""
    try:
        prctl.set_dumpable(False)
        init.close_others({job.control.fileno(), job.target, *job.stdio})
        os.setsid()
        os.umask(0o022)
        _enter(job)
        process.execute(job.process)
    except BaseException as error:  # whatever it is, the supervisor must hear of it
        init.report(job.control, error)
    os._exit(127)


def _enter(job: Job) -> None:
    command = job.process
    job.group.join()
    process.adjust(command)
    labels.apply_at_exec(command.get("apparmor", ""), command.get("selinux", ""))
    keyring.leave_session()
    process.forget_modules()
    if job.spec["namespaces"]["user"]:
        clone.setns(job.target, _NAMESPACES | clone.CLONE_NEWUSER)
        userns.become_root()
    else:
        clone.setns(job.target, _NAMESPACES)
    if command["tty"]:
        peer = _make_terminal(job)
        pty.take_control(peer)
        process.set_stdio(peer, peer, peer)
    else:
        null = _open_null() if min(job.stdio) < 0 else -1
        process.set_stdio(*(fd if fd >= 0 else null for fd in job.stdio))
    process.reset_signals()
    init.close_others({job.control.fileno()})
    prctl.close_on_exec_from(3)
    process.change_directory(command["cwd"])
    process.become(command)
    prctl.set_dumpable(False)


def _open_null() -> int:
    fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    status = os.fstat(fd)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != os.makedev(1, 3):
        raise OSError(19, "is not the null device", "/dev/null")
    return fd


def _make_terminal(job: Job) -> int:
    top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    devpts = openat2(
        top, "dev/pts", os.O_PATH | os.O_DIRECTORY, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    )
    master, peer = pty.open_pair(devpts)
    os.fchown(peer, job.process["user"]["uid"], -1)
    packets.send(job.control, ("master", ""), [master])
    os.close(master)
    return peer
