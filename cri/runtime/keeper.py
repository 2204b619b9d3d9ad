"""The keeper: parent of supervisor, log pump and CRI server; restarts them, inherits and reaps orphans.

    python -m cri.runtime.keeper --run-dir R --lib-dir L --config C [--foreground] [-- server argv...]

It executes itself once more from a read-only detached mount, so that no container can write the interpreter
through /proc/self/exe (CVE-2019-5736), and without site packages, so that its copies stay small. SIGTERM ends
the daemons, never the containers: the next keeper adopts them.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import signal
import socket
import sys
import time

from cri import failpoint
from cri.linux import mount, pidfd, prctl
from cri.runtime import packets
from cri.runtime.logpump import LogPump
from cri.runtime.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

log = logging.getLogger("cri.runtime.keeper")

_BACKOFF_S = (0.0, 0.0, 0.2, 1.0, 5.0)  # by restarts within a minute
_STOP_TIMEOUT_S = 10.0
_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Daemon:
    """One of the processes below keeper."""

    def __init__(self, name: str, launch: Callable[[], int], ready: str) -> None:
        self.name = name
        self.launch = launch
        self.ready = ready  # a socket that exists once it serves, "" = none
        self.pid = 0
        self.starts: list[float] = []
        self.due = 0.0

    def backoff(self, now: float) -> float:
        """Seconds to wait before the next start."""
        if failpoint.is_enabled():  # a test that kills at every step does not wait for us
            return 0.0
        self.starts = [t for t in self.starts if now - t < 60]
        return _BACKOFF_S[min(len(self.starts), len(_BACKOFF_S) - 1)]


class Keeper:
    """Runs until SIGTERM or a shutdown request."""

    def __init__(self, run_dir: str, server: Sequence[str]) -> None:
        self.run_dir = run_dir
        self._server = list(server)
        self._stored: dict[str, int] = {}
        self._store: socket.socket | None = None
        self._stopping = False
        self._pid = os.getpid()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._daemons = [
            Daemon("log pump", self._fork_log_pump, f"{run_dir}/logs.sock"),
            Daemon("supervisor", self._fork_supervisor, f"{run_dir}/runtime.sock"),
        ]
        if server:
            self._daemons.append(Daemon("server", self._spawn_server, ""))

    def run(self, ready: Callable[[], None]) -> None:
        """Start everything, call ready once supervisor and log pump serve, restart until told to stop."""
        prctl.set_child_subreaper()
        prctl.set_name("nk-keeper")
        os.makedirs(f"{self.run_dir}/exits", mode=0o700, exist_ok=True)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        told = False
        while not self._stopping:
            self._start_due()
            if not told and all(not d.ready or (d.pid and os.path.exists(d.ready)) for d in self._daemons):
                ready()
                told = True
            self._wait(0.02 if not told else None)
            self._reap()
        self._stop()

    def _on_signal(self, number: int, frame: object) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stopping = True

    def _wait(self, limit: float | None) -> None:
        now = time.monotonic()
        waits = [d.due - now for d in self._daemons if not d.pid]
        if limit is not None:
            waits.append(limit)
        watched = [self._woken.fileno()]
        if self._store is not None:
            watched.append(self._store.fileno())
        ready, _, _ = select.select(watched, [], [], max(min(waits), 0.0) if waits else None)
        if self._woken.fileno() in ready:
            self._woken.recv(4096)
        if self._store is not None and self._store.fileno() in ready:
            self._serve_store(self._store)

    def _serve_store(self, store: socket.socket) -> None:
        try:
            received = packets.receive(store)
        except OSError:
            received = None
        if received is None:
            store.close()
            self._store = None
            return
        (verb, name), fds = received
        if verb in ("put", "drop") and name in self._stored:
            os.close(self._stored.pop(name))
        if verb == "put":
            self._stored[name] = fds[0]
        elif verb == "stop":
            self._stopping = True

    def _start_due(self) -> None:
        now = time.monotonic()
        for daemon in self._daemons:
            if daemon.pid or now < daemon.due:
                continue
            if daemon.ready and not daemon.starts and os.path.exists(daemon.ready):
                os.unlink(daemon.ready)
            daemon.starts.append(now)
            daemon.pid = daemon.launch()
            log.info("started %s as %d", daemon.name, daemon.pid)

    def _reap(self) -> None:
        """Reap what ended; what is no daemon may be an orphaned container: keep its status first."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            daemon = next((d for d in self._daemons if d.pid == found.si_pid), None)
            if daemon is None:
                self._record_exit(found)
            os.waitpid(found.si_pid, 0)
            if daemon is not None and not self._stopping:
                delay = daemon.backoff(time.monotonic())
                log.warning("%s ended (%d): starting again in %.1f s", daemon.name, found.si_status, delay)
                daemon.pid, daemon.due = 0, time.monotonic() + delay

    def _record_exit(self, found: os.waitid_result) -> None:
        status = found.si_status << 8 if found.si_code == os.CLD_EXITED else found.si_status
        # Written beside the notes, not among them: a supervisor that starts clears those it does not know.
        unfinished = f"{self.run_dir}/exit.tmp"
        try:
            with open(unfinished, "w", encoding="ascii") as file:
                file.write(f"{status} {time.time_ns()} {pidfd.start_time(found.si_pid)}")
            os.rename(unfinished, f"{self.run_dir}/exits/{found.si_pid}")
        except OSError as error:
            # One exit code is less than all the daemons that end with keeper.
            log.error("cannot note the exit of process %d: %s", found.si_pid, error)

    def _stop(self) -> None:
        log.info("stopping")
        for daemon in reversed(self._daemons):
            if daemon.pid:
                os.kill(daemon.pid, signal.SIGTERM)
                _reap_within(daemon.pid, _STOP_TIMEOUT_S)
        for name in ("runtime.sock", "logs.sock", "keeper.pid"):
            if os.path.exists(f"{self.run_dir}/{name}"):
                os.unlink(f"{self.run_dir}/{name}")

    def _fork_supervisor(self) -> int:
        if self._store is not None:
            self._store.close()
        self._store, theirs = packets.pair()
        pid = os.fork()
        if pid:
            theirs.close()
            return pid
        stored = {name: fd for name, fd in self._stored.items()}
        self._become("nk-super", keep={theirs.fileno(), *stored.values()})
        return _guarded(lambda: Supervisor(self.run_dir, theirs, stored).run())

    def _fork_log_pump(self) -> int:
        pid = os.fork()
        if pid:
            return pid
        self._become("nk-logd", keep=set())
        return _guarded(lambda: LogPump(self.run_dir).run())

    def _become(self, name: str, keep: set[int]) -> None:
        """In a forked daemon: die with keeper, default signals, none of keeper's descriptors."""
        self._die_with_keeper()
        prctl.set_name(name)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        ours = [self._wake.fileno(), self._woken.fileno(), *self._stored.values()]
        if self._store is not None:
            ours.append(self._store.fileno())
        for fd in ours:
            if fd not in keep:
                os.close(fd)

    def _die_with_keeper(self) -> None:
        """Have the kernel end us with keeper, who may be dead already: that is told by no signal."""
        prctl.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != self._pid:
            os._exit(1)

    def _spawn_server(self) -> int:
        pid = os.fork()
        if pid:
            return pid
        # Not SIGTERM: a server that stops in its own time would take the next one's socket away.
        self._die_with_keeper()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        paths = [_TOP, *os.environ.get("PYTHONPATH", "").split(":")]
        environment = {**os.environ, "PYTHONPATH": ":".join(p for p in paths if p)}
        try:
            os.execvpe(self._server[0], self._server, environment)
        except OSError as error:
            log.error("cannot execute server %s: %s", self._server[0], error.strerror)
            os._exit(127)


def _guarded(main: Callable[[], None]) -> NoReturn:
    try:
        main()
    except BaseException:
        log.exception("daemon failed")
    os._exit(1)


def _reap_within(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += seconds
        time.sleep(0.01)


def is_sealed() -> bool:
    """Say whether our executable lies on a read-only mount."""
    return bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY)


def seal(arguments: Sequence[str]) -> None:
    """Execute this module again, from a detached read-only mount and without site packages."""
    fd = os.open(os.path.realpath(sys.executable), os.O_PATH | os.O_CLOEXEC)
    tree = mount.clone_tree(fd, recursive=False)
    mount.set_attributes(tree, set_=mount.MOUNT_ATTR_RDONLY, propagation=mount.MS_PRIVATE)
    code = (
        f"import sys; sys.path.insert(0, {_TOP!r}); from cri.runtime import keeper; keeper.main(sys.argv[1:])"
    )
    executable = f"/proc/self/fd/{tree}"
    os.execve(executable, [sys.executable, "-I", "-S", "-c", code, *arguments], dict(os.environ))


def daemonize(log_file: str) -> int:
    """Fork away from the caller into an own session; the descriptor that tells the caller we are ready."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        word = os.read(reader, 64)
        os._exit(0 if word == b"ready" else 1)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDONLY)
    out = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(null)
    os.close(out)
    return writer


def main(argv: Sequence[str] | None = None) -> None:
    """Run keeper until it is told to stop."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _options(arguments)
    run_dir = os.path.abspath(options.run_dir)
    os.makedirs(run_dir, mode=0o700, exist_ok=True)
    if not is_sealed():
        seal(arguments)
    writer = -1
    if not options.foreground:
        writer = daemonize(os.path.abspath(options.log_file or f"{run_dir}/keeper.log"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    _end_predecessors(run_dir)
    with open(f"{run_dir}/keeper.pid", "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")

    def ready() -> None:
        if writer >= 0:
            os.write(writer, b"ready")
            os.close(writer)

    Keeper(run_dir, options.server or _default_server(options)).run(ready)


def _options(arguments: list[str]) -> argparse.Namespace:
    server: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, server = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser(prog="python -m cri.runtime.keeper", allow_abbrev=False)
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("--lib-dir", default="")
    parser.add_argument("--config", default="")
    parser.add_argument("--log-file", default="")
    parser.add_argument("--foreground", action="store_true")
    parser.add_argument("--no-server", action="store_true", help="only supervisor and log pump")
    options = parser.parse_args(arguments)
    options.server = server
    return options


def _default_server(options: argparse.Namespace) -> list[str]:
    if options.no_server:
        return []
    command = [sys.executable, "-m", "cri.main"]
    return [*command, "--config", options.config] if options.config else command


def _end_predecessors(run_dir: str) -> None:
    """End a keeper of the same run directory that is still alive (its daemons die with it)."""
    try:
        with open(f"{run_dir}/keeper.pid", encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read()
        fd = os.pidfd_open(pid)
    except (OSError, ValueError):
        return
    if b"keeper" in command and run_dir.encode() in command and pid != os.getpid():
        signal.pidfd_send_signal(fd, signal.SIGTERM)
        select.select([fd], [], [], _STOP_TIMEOUT_S)
    os.close(fd)


if __name__ == "__main__":
    main()
