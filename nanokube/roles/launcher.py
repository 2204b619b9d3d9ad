"""Keeps a node's components running: forks them from one warm interpreter, restarts what ends.

Single-threaded: it imports everything once, freezes those pages and forks, so that the components share
their memory and a restarted one is there in milliseconds. It never touches a container: the runtime's keeper
runs in a session of its own and is only watched, and started again if it is gone.

    starting --> running --(exit, kill)--> waiting (back-off) --> running
        \\__________ SIGTERM to the launcher: every component is asked to end ___> stopped
"""

import dataclasses
import gc
import logging
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import setproctitle

from nanokube.kit import log as kit_log
from nanokube.kit import paths

log = logging.getLogger(__name__)

# A component that ends at once is restarted at once the first time, then ever more slowly; one that
# has run for STABLE_S has earned a fresh start.
FIRST_DELAY_S = 0.05
LONGEST_DELAY_S = 10.0
STABLE_S = 10.0
STOP_GRACE_S = 8.0
# Component logs start anew above this size; one older file is kept.
LOG_LIMIT_BYTES = 10 * 1024 * 1024
LOG_CHECK_S = 3600.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Main = Callable[[], None]


@dataclasses.dataclass(slots=True)
class Component:
    """One supervised process. due: monotonic time of the next start, 0 while it runs."""

    name: str
    main: Main
    pid: int = 0
    pidfd: int = -1
    started: float = 0.0
    due: float = 0.0
    delay: float = 0.0


class Launcher:
    """Runs components until SIGTERM. One per node, guarded by its pid file."""

    def __init__(
        self, place: paths.Paths, mains: Mapping[str, Main], ensure_keeper: Callable[[], int]
    ) -> None:
        """mains: what each component runs, by name. ensure_keeper: starts the runtime's keeper if it is
        gone and returns its pid."""
        self._place = place
        self._components = [Component(name, main) for name, main in mains.items()]
        self._ensure_keeper = ensure_keeper
        self._keeper_pidfd = -1
        self._keeper_due = 0.0
        self._stopping = False
        self._poll = select.poll()
        self._wake = -1

    def run(self) -> None:
        """Start every component, keep them running, return after SIGTERM or SIGINT."""
        self._place.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._place.log.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._catch_signals()
        gc.collect()
        gc.freeze()
        for component in self._components:
            self._start(component)
        while not self._stopping:
            self._step()
        self._stop_all()

    def _catch_signals(self) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_stop)
        self._wake = reader
        self._poll.register(reader, select.POLLIN)

    def _on_stop(self, _signal: int, _frame: object) -> None:
        self._stopping = True

    def _step(self) -> None:
        """Wait for an exit, a signal or the next start that is due, and act on it."""
        now = time.monotonic()
        self._watch_keeper(now)
        waiting = [each.due for each in self._components if each.due] + [now + LOG_CHECK_S]
        if self._keeper_due:
            waiting.append(self._keeper_due)
        timeout_ms = max(0.0, (min(waiting) - now) * 1000) + 1
        ready = self._poll.poll(timeout_ms)
        if not ready:
            self._limit_logs()
        for descriptor, _events in ready:
            if descriptor == self._wake:
                os.read(self._wake, 512)
            elif descriptor == self._keeper_pidfd:
                self._forget_keeper()
        self._reap()
        now = time.monotonic()
        for component in self._components:
            if component.due and component.due <= now and not self._stopping:
                self._start(component)

    def _watch_keeper(self, now: float) -> None:
        if self._keeper_pidfd >= 0 or now < self._keeper_due:
            return
        try:
            self._keeper_pidfd = os.pidfd_open(self._ensure_keeper())
        except OSError as err:
            log.error("cannot start the container runtime: %s", err)
            self._keeper_due = now + 1.0
            return
        self._keeper_due = 0.0
        self._poll.register(self._keeper_pidfd, select.POLLIN)

    def _forget_keeper(self) -> None:
        log.error("container runtime's keeper ended")
        self._poll.unregister(self._keeper_pidfd)
        os.close(self._keeper_pidfd)
        self._keeper_pidfd = -1
        self._keeper_due = time.monotonic() + FIRST_DELAY_S

    def _start(self, component: Component) -> None:
        file = self._place.log / f"{component.name}.log"
        launcher = os.getpid()
        # Until the child has put the launcher's handler away, that would swallow what asks the child to end.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                self._become(component, file, launcher)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        component.pid, component.due = pid, 0.0
        component.started = time.monotonic()
        component.pidfd = os.pidfd_open(pid)
        self._poll.register(component.pidfd, select.POLLIN)
        (self._place.run / f"{component.name}.pid").write_text(f"{pid}\n")
        log.info("started %s pid=%d", component.name, pid)

    def _become(self, component: Component, file: Path, launcher: int) -> None:
        """Turn this forked child into the component; never returns."""
        try:
            signal.set_wakeup_fd(-1)
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
            _die_with(launcher)
            if "JOURNAL_STREAM" not in os.environ:
                _redirect(file)
            setproctitle.setproctitle(f"nanokube: {component.name}")
            kit_log.set_up(os.environ.get("NANOKUBE_LOG_LEVEL", "INFO"))
            component.main()
            status = 0
        except (KeyboardInterrupt, SystemExit):
            status = 0
        except BaseException:
            log.exception("%s failed", component.name)
            status = 1
        sys.stderr.flush()
        os._exit(status)

    def _limit_logs(self) -> None:
        for component in self._components:
            _limit(self._place.log / f"{component.name}.log")

    def _reap(self) -> None:
        for component in self._components:
            if not component.pid:
                continue
            pid, status = os.waitpid(component.pid, os.WNOHANG)
            if pid:
                self._note_exit(component, status)

    def _note_exit(self, component: Component, status: int) -> None:
        self._poll.unregister(component.pidfd)
        os.close(component.pidfd)
        component.pid, component.pidfd = 0, -1
        (self._place.run / f"{component.name}.pid").unlink(missing_ok=True)
        now = time.monotonic()
        component.delay = next_delay(component.delay, now - component.started)
        component.due = now + component.delay
        if not self._stopping:
            log.error("%s ended: %s", component.name, describe_status(status))

    def _stop_all(self) -> None:
        """Ask every component to end, newest first; kill what does not within the grace period."""
        for component in reversed(self._components):
            if component.pid:
                signal.pidfd_send_signal(component.pidfd, signal.SIGTERM)
        deadline = time.monotonic() + STOP_GRACE_S
        while any(each.pid for each in self._components):
            self._poll.poll(50)
            self._reap()
            if time.monotonic() > deadline:
                for component in self._components:
                    if component.pid:
                        signal.pidfd_send_signal(component.pidfd, signal.SIGKILL)


def next_delay(last_s: float, lived_s: float) -> float:
    """Return how long to wait before a component that lived for lived_s starts again.

    >>> next_delay(0.0, 0.1), next_delay(0.05, 0.1), next_delay(8.0, 0.1), next_delay(8.0, 60.0)
    (0.05, 0.1, 10.0, 0.05)
    """
    if lived_s >= STABLE_S:
        return FIRST_DELAY_S
    return min(max(last_s * 2, FIRST_DELAY_S), LONGEST_DELAY_S)


def describe_status(status: int) -> str:
    """Name a wait status as a person would: `exit code 1`, `killed by SIGKILL`."""
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit code {os.waitstatus_to_exitcode(status)}"


def _die_with(launcher: int) -> None:
    """Have the kernel end this component if the launcher is killed: its successor starts from nothing."""
    from cri.linux import prctl

    prctl.set_parent_death_signal(signal.SIGTERM)
    if os.getppid() != launcher:  # killed before the kernel was asked
        os._exit(0)


def _redirect(file: Path) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _limit(file: Path) -> None:
    """Set a log aside that has grown too big. Copied, not renamed: its writer keeps it open for appending."""
    try:
        if file.stat().st_size > LOG_LIMIT_BYTES:
            shutil.copyfile(file, file.with_name(file.name + ".1"))
            os.truncate(file, 0)
    except FileNotFoundError:
        pass
