"""The launcher restarts what ends, at once and then ever more slowly, and stops everything on SIGTERM."""

import os
import signal
import subprocess
import sys
import time
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


def wait_for(path: Path, unlike: str = "", starts: str = "") -> str:
    for _attempt in range(500):
        try:
            text = path.read_text().strip()
        except FileNotFoundError:
            text = ""
        if text and text != unlike and text.startswith(starts):
            return text
        time.sleep(0.01)
    raise AssertionError(f"{path} did not change")


def test_components_are_restarted_and_stopped(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stderr=subprocess.PIPE, text=True
    )
    try:
        pid_file = tmp_path / "run/nanokube/steady.pid"
        first = wait_for(pid_file)
        os.kill(int(first), signal.SIGKILL)
        second = wait_for(pid_file, unlike=first)
        wait_for(Path(f"/proc/{second}/cmdline"), starts="nanokube: steady")
        wait_for(tmp_path / "var/log/nanokube/failing.log")
        process.send_signal(signal.SIGTERM)
        _output, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert not Path(f"/proc/{second}").exists()
    assert "steady ended: killed by SIGKILL" in errors
    assert "failing ended: exit code 1" in errors
    assert "broken on purpose" in (tmp_path / "var/log/nanokube/failing.log").read_text()


@pytest.mark.parametrize(
    ("last_s", "lived_s", "expected_s"),
    [(0.0, 0.1, 0.05), (0.05, 0.1, 0.1), (8.0, 0.1, 10.0), (8.0, 60.0, 0.05)],
)
def test_what_keeps_failing_starts_ever_more_slowly(last_s: float, lived_s: float, expected_s: float) -> None:
    assert launcher.next_delay(last_s, lived_s) == expected_s


@pytest.mark.parametrize(("status", "text"), [(9, "killed by SIGKILL"), (1 << 8, "exit code 1")])
def test_statuses_read_as_words(status: int, text: str) -> None:
    assert launcher.describe_status(status) == text
