"""Taking over containers of an earlier supervisor, and telling how a container ended, child or not.

The record names the process by pid and identity; a live process is followed by a new pidfd. If it ended in
between, its exit status is with keeper (who inherits and reaps orphans) as <run>/exits/<pid>. Without keeper
the host's init inherits: the status is with the zombie until it is reaped, then, on Linux 6.15 and later,
with any pidfd opened before. Nobody knows: exit code 255, reason Unknown.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time

from cri.linux import pidfd
from cri.runtime import container as containers
from cri.runtime import exits, spawn
from cri.runtime.container import CREATED, EXITED, STARTING, Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cri.runtime.supervisor import Supervisor

log = logging.getLogger(__name__)

_RETRY_S, _RETRIES = 0.02, 100  # until keeper or init has reaped it


def adopt_all(supervisor: Supervisor) -> None:
    """Load every record and follow what lives; half-made records are removed."""
    for name in os.listdir(f"{supervisor.run_dir}/c"):
        directory = f"{supervisor.run_dir}/c/{name}"
        made = containers.load(directory, supervisor.hierarchies)
        if made is None:
            containers.remove_record(directory)
            continue
        supervisor.containers[made.id] = made
        made.stdin = supervisor.stored.pop(f"{made.id}.in", -1)
        made.master = supervisor.stored.pop(f"{made.id}.tty", -1)
        _adopt(supervisor, made)
    for name, fd in supervisor.stored.items():
        os.close(fd)
        supervisor.drop(name)
    supervisor.stored.clear()
    _forget_exits(supervisor)
    log.info("adopted %d containers", len(supervisor.containers))


def _forget_exits(supervisor: Supervisor) -> None:
    """Drop keeper's notes of processes that are no container's (sessions, their children)."""
    wanted = {str(made.pid) for made in supervisor.containers.values() if made.phase != EXITED}
    directory = f"{supervisor.run_dir}/exits"
    for name in os.listdir(directory):
        if name not in wanted:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{directory}/{name}")


def _adopt(supervisor: Supervisor, made: Container) -> None:
    if made.phase == EXITED:
        made.is_published = True
        return
    if made.spec["holder"]:  # it needs no start: whatever was cloned ends, unless its pid was noted
        made.phase = STARTING if made.phase == CREATED else made.phase
    if made.phase == CREATED:  # its process waited for us and ended with us: start() clones another
        # not cgroup.kill: a process cloned into a group that was ever killed dies at birth (seen on 6.18)
        if (fd := _open(made)) >= 0:
            spawn.kill(fd, 9)
            os.close(fd)
        _kill_members(made)
        made.pid = 0
        made.save()
        return
    fd = _open(made)
    if fd >= 0:
        made.pidfd = fd
        supervisor.watch(made)
        if made.phase == STARTING:
            await_execution(supervisor, made)
        return
    made.pidfd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)  # something to close
    status, when = _kept(supervisor, made)
    _exited(supervisor, made, status, when or time.time_ns())


def _kill_members(made: Container) -> None:
    """Kill, one by one, what was cloned just before its pid could be noted."""
    for pid in made.group.processes():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def await_execution(supervisor: Supervisor, made: Container, tries: int = 0) -> None:
    """Follow a process that may have had its go from a supervisor that died: it executes, or ends at once."""
    if (
        made.pidfd < 0 or made.phase != STARTING or made.is_child
    ):  # a child of ours tells by its control socket
        return
    if tries < _RETRIES and not made.spec["holder"] and _is_ours(made.pid):
        supervisor.loop.after(_RETRY_S, lambda: await_execution(supervisor, made, tries + 1))
        return
    supervisor.set_running(made)


def _is_ours(pid: int) -> bool:
    """Say whether a process still executes what we do."""
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/exe"), os.stat("/proc/self/exe"))
    except OSError:
        return True  # it is ending: its exit tells more


def _open(made: Container) -> int:
    """A pidfd of the recorded process, -1 if it is gone or the pid is another's now."""
    try:
        fd = os.pidfd_open(made.pid)
    except OSError:
        return -1
    if pidfd.identity(made.pid, fd) != made.identity:
        os.close(fd)
        return -1
    return fd


def ended(supervisor: Supervisor, made: Container, tries: int = 0) -> None:
    """Learn a container's exit status, wherever it is, then tell the supervisor."""
    if made.pidfd < 0:
        return
    when, ending = time.time_ns(), made.pidfd
    supervisor.hear(made)
    if made.pidfd != ending:  # it was the outer process of a user namespace: the container is another
        return
    if made.is_child:
        supervisor.exited(made, exits.peek(made.pid), when)
        return
    found, at = _kept(supervisor, made)
    if found is None:
        found = pidfd.exit_status(made.pidfd)
    if found is None:
        found = exits.peek_orphan(made.pid, made.identity.partition(".")[2])
    if found is None and tries < _RETRIES:
        supervisor.loop.remove(made.pidfd)
        supervisor.loop.after(_RETRY_S, lambda: ended(supervisor, made, tries + 1))
        return
    _exited(supervisor, made, found, at or when)


def _kept(supervisor: Supervisor, made: Container) -> tuple[int | None, int]:
    """What keeper wrote of the process: (status, time), (None, 0) without."""
    path = f"{supervisor.run_dir}/exits/{made.pid}"
    try:
        with open(path, encoding="ascii") as file:
            status, when, started = file.read().split()
    except (OSError, ValueError):
        return None, 0
    if made.identity.partition(".")[2] != started:
        return None, 0
    return int(status), int(when)


def _exited(supervisor: Supervisor, made: Container, status: int | None, when: int) -> None:
    """Tell the supervisor, which notes it, and only then drop keeper's note."""
    note = f"{supervisor.run_dir}/exits/{made.pid}"
    supervisor.exited(made, status, when)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(note)


def add_logs(supervisor: Supervisor, made: Container) -> None:
    """Give a (new) log pump the container's streams again, by name."""
    if made.spec["process"]["tty"]:
        if made.master >= 0:
            supervisor.logs.add(made.id, made.spec["log_path"], tty=True, fds=[made.master])
        return
    fds = []
    try:
        for name in ("out", "err"):
            fds.append(os.open(made.path(name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        supervisor.logs.add(made.id, made.spec["log_path"], tty=False, fds=fds)
    except FileNotFoundError:
        log.warning("lost log streams of %s", made.id)
    finally:
        for fd in fds:
            os.close(fd)
