"""The program of a shared PID namespace's first process."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cri.runtime import pause


@pytest.mark.skipif(not pause.program(platform.machine()), reason="no code for this machine")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_waits_for_a_signal_and_ends(tmp_path: Path, number: int) -> None:
    path = tmp_path / "pause"
    path.write_bytes(pause.program(platform.machine()))
    path.chmod(0o755)

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

    child = subprocess.Popen([path], preexec_fn=block)
    try:
        name = Path(f"/proc/{child.pid}/comm")
        while name.read_text() != "pause\n":
            time.sleep(0.001)
        assert child.poll() is None
        os.kill(child.pid, signal.SIGCONT)
        assert child.poll() is None
        child.send_signal(number)
        assert child.wait(5) == 0
    finally:
        child.kill()
        child.wait()


def test_other_machines_keep_the_interpreter() -> None:
    assert pause.program("pdp11") == b""
