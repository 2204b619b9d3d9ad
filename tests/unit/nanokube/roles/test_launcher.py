"""The launcher restarts what ends, at once and then ever more slowly, and stops everything on SIGTERM."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanokube.roles import launcher

PROGRAM = """
import os, sys, time
from pathlib import Path
from nanokube.kit import paths
from nanokube.roles import launcher

root = Path(sys.argv[1])
def steady(): time.sleep(60)
def failing(): raise RuntimeError("broken on purpose")
launcher.Launcher(paths.Paths(root), {"steady": steady, "failing": failing}, os.getpid).run()
"""


# No stop is forced here, and a component stays what the fork made it until it is told to end (2 s at most).
SLOW_TO_BECOME = """
import os, signal, sys, time
from pathlib import Path
from nanokube.kit import paths
from nanokube.roles import launcher

fork = os.fork
def slow_fork():
    pid = fork()
    deadline = time.monotonic() + 2
    while pid == 0 and not signal.sigpending() and time.monotonic() < deadline:
        time.sleep(0.01)
    return pid
os.fork = slow_fork
launcher.STOP_GRACE_S = 3600
def steady(): time.sleep(3600)
launcher.Launcher(paths.Paths(Path(sys.argv[1])), {"steady": steady}, os.getpid).run()
"""


@contextlib.contextmanager
def launched(program: str, place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a launcher; what it says is in place/said."""
    with (place / "said").open("wb") as said:
        process = subprocess.Popen([sys.executable, "-c", program, str(place)], stderr=said)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(path: Path, unlike: str = "", containing: str = "") -> str:
    """Return a file's text once it has some, other than `unlike`, with `containing` in it."""
    deadline = time.monotonic() + 30  # a loaded machine takes seconds to start Python
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            text = path.read_text().strip()
            if text and text != unlike and containing in text:
                return text
        time.sleep(0.01)
    raise AssertionError(f"{path} did not change")


def test_components_are_restarted_and_stopped(tmp_path: Path) -> None:
    with launched(PROGRAM, tmp_path) as process:
        pid_file = tmp_path / "run/nanokube/steady.pid"
        first = wait_for(pid_file)
        os.kill(int(first), signal.SIGKILL)
        second = wait_for(pid_file, unlike=first)
        wait_for(Path(f"/proc/{second}/cmdline"), containing="nanokube: steady")
        # Once it stops, the launcher no longer tells of ends, and a component has logged before it ends.
        wait_for(tmp_path / "said", containing="failing ended: exit code 1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert not Path(f"/proc/{second}").exists()
    assert "steady ended: killed by SIGKILL" in (tmp_path / "said").read_text()
    assert "broken on purpose" in (tmp_path / "var/log/nanokube/failing.log").read_text()


def test_a_component_told_to_stop_as_it_is_forked_stops(tmp_path: Path) -> None:
    """It has the launcher's handler then, which would take the signal for the launcher's."""
    with launched(SLOW_TO_BECOME, tmp_path) as process:
        wait_for(tmp_path / "run/nanokube/steady.pid")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize(
    ("last_s", "lived_s", "expected_s"),
    [(0.0, 0.1, 0.05), (0.05, 0.1, 0.1), (8.0, 0.1, 10.0), (8.0, 60.0, 0.05)],
)
def test_what_keeps_failing_starts_ever_more_slowly(last_s: float, lived_s: float, expected_s: float) -> None:
    assert launcher.next_delay(last_s, lived_s) == expected_s


@pytest.mark.parametrize(("status", "text"), [(9, "killed by SIGKILL"), (1 << 8, "exit code 1")])
def test_statuses_read_as_words(status: int, text: str) -> None:
    assert launcher.describe_status(status) == text
