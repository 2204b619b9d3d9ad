"""Cloning a container's first process and exec sessions out of the warm supervisor."""

from __future__ import annotations

import os
import signal
import time

from cri.linux import clone, labels, pidfd
from cri.runtime import init, packets, session_init, userns

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from cri.runtime.container import Container
    from cri.runtime.stock import Stock

_own_pid_namespace = -1


def spawn(container: Container, stage: str, target_pidfd: int, logs: list[int], stock: Stock) -> None:
    """Clone the container's first process, which prepares and waits; fills pid, pidfd, identity, control.

    target_pidfd: a process whose PID namespace is joined, -1 = own or host. logs: gets the read ends for the
    log pump (the caller's). Raises OSError.
    """
    spec = container.spec
    flags, target, joined = clone.CLONE_NEWNS, target_pidfd, -1
    if spec["namespaces"]["pid"] == "own":
        flags |= clone.CLONE_NEWPID
    if spec["namespaces"]["user"]:  # it clones the process that has them (userns.cross)
        flags, target, joined = 0, -1, target_pidfd
    stdio = _open_stdio(container, logs)
    is_plain = not (spec["holder"] or spec["namespaces"]["user"] or spec.get("mount_label"))
    ready = stock.take() if is_plain else None
    ours, theirs = packets.pair()
    try:
        job = init.Job(spec, theirs, stdio, stage, container.group.hierarchies, joined, ready)
        pid, fd = _clone(flags, container.group.unified, target)
        if not pid:
            init.run(job)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        if ready:
            ready.close()
        for end in stdio:
            if end >= 0:
                os.close(end)
    ours.setblocking(False)
    container.control = ours
    container.pid, container.pidfd, container.is_child = pid, fd, True
    container.is_outer = bool(spec["namespaces"]["user"])
    container.identity = pidfd.identity(pid, fd)
    container.created_at = container.created_at or time.time_ns()


def spawn_session(
    container: Container, process: dict[str, Any], stdio: tuple[int, int, int]
) -> tuple[int, int, socket.socket]:
    """Clone a process that enters the container and executes: (pid, pidfd, control). Raises OSError."""
    ours, theirs = packets.pair()
    try:
        job = session_init.Job(container.pidfd, container.spec, process, theirs, stdio, container.group)
        pid, fd = _clone(0, container.group.unified, container.pidfd)
        if not pid:
            session_init.run(job)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    return pid, fd, ours


def kill(fd: int, number: int) -> None:
    """Signal a process; no error if it is gone."""
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return


def _clone(flags: int, cgroup: str, target_pidfd: int) -> tuple[int, int]:
    """clone3 into a cgroup; the target's PID namespace for children is borrowed for just this call."""
    global _own_pid_namespace
    if _own_pid_namespace < 0:
        _own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if cgroup else -1
    pid = -1
    try:
        if target_pidfd >= 0:
            clone.setns(target_pidfd, clone.CLONE_NEWPID)
        pid, fd = clone.clone3(flags, directory)
        return pid, fd
    finally:
        if pid:
            if target_pidfd >= 0:
                clone.setns(_own_pid_namespace, clone.CLONE_NEWPID)
            if directory >= 0:
                os.close(directory)


def _open_stdio(container: Container, logs: list[int]) -> tuple[int, int, int]:
    """Open the FIFOs; the container holds its outputs for reading too: no SIGPIPE when we die."""
    spec = container.spec
    if spec["holder"] or spec["process"]["tty"]:
        return -1, -1, -1
    maps, ids = spec["namespaces"], spec["process"]["user"]
    user = userns.host_id(maps["uid_map"], ids["uid"]), userns.host_id(maps["gid_map"], ids["gid"])
    label = spec.get("mount_label", "")
    ends = [-1, -1, -1]
    if spec["stdin"]:
        path = _fifo(container.path("in"), user, label)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if container.stdin < 0:
            container.stdin = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(reader, True)
        ends[0] = reader
    for number, name in ((1, "out"), (2, "err")):
        path = _fifo(container.path(name), user, label)
        logs.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        ends[number] = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    return ends[0], ends[1], ends[2]


def _fifo(path: str, owner: tuple[int, ...], label: str) -> str:
    try:
        os.mkfifo(path, 0o600)
        os.chown(path, *owner)  # so that /dev/stdout can be opened anew
        labels.label_path(path, label)  # else SELinux takes the descriptor away at execve(2), without a word
    except FileExistsError:
        pass
    return path
