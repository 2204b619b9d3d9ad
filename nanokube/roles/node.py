"""One node's processes as a whole: start them in the background or under systemd, stop them, find them.

The launcher holds a lock on `/run/nanokube/node.pid` for as long as it lives, so that two nodes never run
from one place and a stale pid is never believed.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nanokube.kit import paths
from nanokube.roles import config as node_config
from nanokube.roles import systemd

PID_FILE = "node.pid"
STOP_TIMEOUT_S = 15.0


class NodeError(RuntimeError):
    """The node could not be started or stopped; the message says why."""


@contextlib.contextmanager
def alone(place: paths.Paths) -> Iterator[None]:
    """Wait for others that are starting this node, and keep new ones waiting until the block ends."""
    descriptor = os.open(place.run.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def start(config: node_config.NodeConfig) -> Callable[[], bool]:
    """Start the launcher in the background, unless it runs. Returns before its components are up.

    What is returned tells, when called, whether the process that was started is still there.
    """
    if running_pid(config.paths) is not None:
        return lambda: True
    if systemd.is_running() and config.root == Path("/"):
        systemd.install_and_start()
        return systemd.is_active
    config.paths.log.mkdir(mode=0o750, parents=True, exist_ok=True)
    with (config.paths.log / "node.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "nanokube.cli", "node", "--root", str(config.root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    return lambda: process.poll() is None


def stop(place: paths.Paths) -> bool:
    """End the launcher and with it every component; containers are left alone. Tells whether it ran."""
    pid = running_pid(place)
    if pid is None:
        return False
    if systemd.is_running() and systemd.is_active():
        systemd.stop()
        return True
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while running_pid(place) is not None:
        if time.monotonic() > deadline:
            raise NodeError(
                f"cannot stop the node: process {pid} is still there after {STOP_TIMEOUT_S:.0f} s"
            )
        time.sleep(0.02)
    return True


def running_pid(place: paths.Paths) -> int | None:
    """Return the pid of the launcher if it runs."""
    try:
        with (place.run / PID_FILE).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
    except FileNotFoundError:
        return None
    return None


def hold_lock(place: paths.Paths) -> int:
    """Claim the node for this process until it ends; returns the descriptor that holds the claim.

    Raises NodeError if another launcher runs.
    """
    place.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(place.run / PID_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        os.close(descriptor)
        raise NodeError("cannot start the node: it runs already") from err
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
