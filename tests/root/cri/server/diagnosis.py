"""What a runtime's processes wait for, for the report of a test that found one stuck."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

_DUMP_S = 0.5  # faulthandler writes from the signal's handler
_LINES = 120


def report(family: Mapping[int, str], server: int, log: Path) -> str:
    """Say where each process stands in the kernel and each thread of the server in Python.

    family: names by process id; server: the process that dumps its threads on SIGUSR1, 0 = none lives.
    """
    told = [f"{name} {pid}: {_stands(pid)}" for pid, name in family.items()]
    if server:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGUSR1)
            time.sleep(_DUMP_S)
    else:
        told.append("no server lives")
    tail = log.read_text(errors="replace").splitlines()[-_LINES:]
    return "\n".join([*told, "the log's end:", *tail])


def _stands(pid: int) -> str:
    found = []
    for name in ("wchan", "syscall", "stack"):
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{pid}/{name}").read_text().strip().replace("\n", " < "))
    with contextlib.suppress(OSError):
        held = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        found.append(" ".join(held))
    return "; ".join(found) or "gone"
