"""Namespaces of our own for a measurement: whatever runs in them ends with it, also on Ctrl-C or a crash."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cri.cgroup import group, hierarchy

SOURCE = Path(__file__).parents[3]
_REMOVE_S = 10.0
_INSIDE = "NANOKUBE_BENCH_SCRATCH"
# CNI keeps results in /var/lib/cni; runtimes keep state in /run, a tmpfs as on a host.
_PREPARE = """
mount --make-rshared / && mount -t tmpfs run /run && mount -t tmpfs lib /var/lib || exit 1
ip link set lo up || exit 1
"$@"
"""  # the shell stays, as PID 1, and reaps orphans


def enter(*, goes_first: bool = True) -> Path:
    """Run this program again inside; return, inside, the directory to work in. Outside it does not return.

    goes_first: take the processors before what else the host does; for who measures time.
    """
    if _INSIDE in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        _take_processors(Path(os.environ[_INSIDE]).name, goes_first)
        return Path(os.environ[_INSIDE])
    with tempfile.TemporaryDirectory(prefix="nkrt-", ignore_cleanup_errors=True) as scratch:
        command = ["unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        command += ["--mount-proc", "sh", "-c", _PREPARE, "sh", sys.executable, *sys.argv]
        environment = {**os.environ, _INSIDE: scratch, "PYTHONPATH": str(SOURCE)}
        try:
            code = _wait(subprocess.Popen(command, env=environment))
        finally:
            remove_cgroups(Path(scratch).name)
    sys.exit(code if code >= 0 else 128 - code)


def _take_processors(name: str, goes_first: bool) -> None:
    """Put client and runtimes, as equals, in one cgroup, which may go before what else the host does."""
    found = hierarchy.detect()
    own = {key: point for key, point in found.v1.items() if key == "cpu"}
    all_of_us = group.Group(hierarchy.Hierarchies("" if own else found.unified, found.v2, dict(own)), name)
    client = group.Group(all_of_us.hierarchies, f"{name}/client")
    client.create()
    file, most = ("cpu.shares", "262144") if own else ("cpu.weight", "10000")
    if goes_first:
        group.write(f"{all_of_us.directory('cpu')}/{file}", most)
    for at in [*client.v1_directories(), client.unified]:
        if at:
            group.write(f"{at}/cgroup.procs", "0")


def _wait(inside: subprocess.Popen[bytes]) -> int:
    """Wait for the end; Ctrl-C reaches the program inside by itself, a SIGTERM is handed on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: inside.kill())
    return inside.wait()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Clean up without being interrupted half-way."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def remove_cgroups(path: str) -> None:
    """Kill what is left in a cgroup of ours and remove it in every hierarchy, those no one limits by too."""
    with contextlib.suppress(OSError):
        group.Group(hierarchy.detect(), path).kill()
    fields = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    tops = [f"{each[1]}/{path}" for each in fields if each[2] in ("cgroup", "cgroup2")]
    deadline = time.monotonic() + _REMOVE_S  # what was killed leaves its group a little later
    while not all([_is_removed(top) for top in tops]) and time.monotonic() < deadline:
        time.sleep(0.05)


def _is_removed(top: str) -> bool:
    for below, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(below)
    return not os.path.exists(top)
