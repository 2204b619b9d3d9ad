"""An ended process tells its status to whoever looks before it is reaped."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cri.linux import pidfd
from cri.runtime import exits


@contextmanager
def zombie(script: str) -> Iterator[tuple[int, str]]:
    """Keep an ended child that nobody has reaped; give its id and when it began."""
    process = subprocess.Popen(["sh", "-c", script])
    started = str(pidfd.start_time(process.pid))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        yield process.pid, started
    finally:
        process.wait()


@pytest.mark.parametrize(
    ("script", "status"), [("exit 7", 7 << 8), ("exit 0", 0), ("kill -9 $$", 9), ("kill -15 $$", 15)]
)
def test_the_status_of_an_orphan_is_known_until_it_is_reaped(script: str, status: int) -> None:
    with zombie(script) as (pid, started):
        assert exits.peek_orphan(pid, started) == status
    assert exits.peek_orphan(pid, started) is None


def test_another_process_of_that_id_is_not_meant() -> None:
    with zombie("exit 7") as (pid, started):
        assert exits.peek_orphan(pid, str(int(started) + 1)) is None


def test_a_child_of_keeper_is_left_to_its_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getppid", os.getpid)
    with zombie("exit 7") as (pid, started):
        assert exits.peek_orphan(pid, started) is None


def test_a_live_process_has_no_status() -> None:
    assert exits.peek_orphan(os.getpid(), str(pidfd.start_time(os.getpid()))) is None
