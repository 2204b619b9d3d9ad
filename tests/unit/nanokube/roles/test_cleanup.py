"""What still runs is ended."""

import subprocess
import time

from nanokube.roles import cleanup

DEAF = "trap '' TERM; echo ready; exec sleep 60"


def begin(command: str) -> subprocess.Popen[bytes]:
    started = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()
    started.stdout.close()
    return started


def test_who_heeds_the_signal_ends_at_once_and_the_others_after_their_grace() -> None:
    willing, deaf = begin("echo ready; exec sleep 60"), begin(DEAF)
    ended: dict[int, float] = {}
    began = time.monotonic()

    def running() -> list[int]:
        for each in (willing, deaf):
            if each.poll() is not None:
                ended.setdefault(each.pid, time.monotonic() - began)
        return [each.pid for each in (willing, deaf) if each.returncode is None]

    cleanup.end_processes(running, 0.4)
    assert ended[willing.pid] < 0.4 <= ended[deaf.pid]
    assert (willing.returncode, deaf.returncode) == (-15, -9)


def test_where_nothing_runs_nothing_is_waited_for() -> None:
    cleanup.end_processes(lambda: [], 60)
