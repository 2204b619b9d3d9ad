"""User namespaces: those of a Pod, made by the supervisor; and how a container's first process gets into one.

A process enters a user namespace for good, and with it loses all rights over the host. So the process the
supervisor clones stays outside while it opens what only the host's root may (volumes, layers, devices), then
enters and clones a sibling, which owns its mount, PID and cgroup namespaces and goes on alone:

    supervisor --clone3--> outer: cgroup, descriptors --clone3(CLONE_PARENT)--> inner: root, command

The supervisor hears of it by ("born", pidfd) on the control socket. Source: user_namespaces(7), clone(2).
"""

from __future__ import annotations

import os
import signal

from cri.linux import clone
from cri.runtime import packets

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

KINDS = ("user", "net", "ipc", "uts")
_FLAGS = clone.CLONE_NEWUSER | clone.CLONE_NEWNET | clone.CLONE_NEWIPC | clone.CLONE_NEWUTS


def make(uid_map: Any, gid_map: Any) -> list[int]:
    """Make a user namespace and network, IPC and UTS namespaces it owns; descriptors in order of KINDS.

    Call from a single-threaded process. Raises OSError.
    """
    pid, pidfd = clone.clone3(_FLAGS)
    if not pid:
        while True:
            signal.pause()
    opened: list[int] = []
    try:
        for name, mapping in (("uid_map", uid_map), ("gid_map", gid_map)):
            _write(f"/proc/{pid}/{name}", render(mapping))
        for kind in KINDS:
            opened.append(os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC))
    except BaseException:
        for fd in opened:
            os.close(fd)
        raise
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)
    return opened


def render(mapping: Any) -> str:
    """The mapping as /proc/PID/uid_map takes it: a line of id inside, id outside, count each."""
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in mapping)


def host_id(mapping: Any, number: int) -> int:
    """The host's id of an id inside; without a mapping they are the same. Raises ValueError if unmapped."""
    for inside, outside, count in mapping:
        if inside <= number < inside + count:
            return int(outside + number - inside)
    if mapping:
        raise ValueError(f"id {number} is not mapped in the user namespace")
    return number


def cross(control: socket.socket, user: int, target: int, flags: int) -> None:
    """Enter the user namespace and clone the process that goes on; returns in that one only.

    target: a pidfd whose PID namespace is joined first, or -1; flags: CLONE_NEWPID for one of its own.
    """
    if target >= 0:
        clone.setns(target, clone.CLONE_NEWPID)
    clone.setns(user, clone.CLONE_NEWUSER)
    pid, fd = clone.clone3(flags | clone.CLONE_PARENT | clone.CLONE_NEWNS | clone.CLONE_NEWCGROUP)
    if pid:
        packets.send(control, ("born", ""), [fd])
        os._exit(0)


def become_root() -> None:
    """Take the ids of the namespace's root: files made from now on belong to it. Capabilities stay."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"cannot map ids {text.split()}: {error.strerror}") from error
    finally:
        os.close(fd)
