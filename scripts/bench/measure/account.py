"""What a runtime uses: CPU time and processes by a cgroup that it and its Pods live in, memory by /proc."""

import contextlib
from pathlib import Path

from cri.cgroup import group, hierarchy
from scripts.bench.measure import isolate

WORKLOAD = [
    "sleep",
    "1000000",
]  # what an idle container runs; told from a runtime's own pause by its argument


class Account:
    """A cgroup with two children: `runtime` for its processes, `pods` for what it starts."""

    def __init__(self, path: str) -> None:
        found = hierarchy.detect()
        own = {name: found.v1[name] for name in ("cpuacct",) if name in found.v1}
        # Accounting needs one hierarchy only: the rest of the runtime's processes' groups stays as it is.
        self._hierarchies = hierarchy.Hierarchies("" if own else found.unified, found.v2, own)
        self.path = path
        self._top = group.Group(self._hierarchies, path)
        runtime = group.Group(self._hierarchies, f"{path}/runtime")
        runtime.create()
        self.join = f"{runtime.directory('cpuacct') or runtime.unified}/cgroup.procs"

    def cpu_ms(self) -> float:
        """CPU time, user and system, of all that ever ran in it, containers included."""
        if directory := self._top.directory("cpuacct"):
            return int(group.read(f"{directory}/cpuacct.usage")) / 1e6
        words = group.read(f"{self._top.unified}/cpu.stat").split()
        return int(words[words.index("usage_usec") + 1]) / 1e3

    def processes(self) -> dict[int, list[str]]:
        """All processes in it, pid to command line."""
        found = {}
        for pid in self._top.processes():
            with contextlib.suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return found

    def pss_mb(self) -> tuple[float, float]:
        """Proportional set size of (the runtime's processes with shims and pauses, the workloads)."""
        own = workload = 0.0
        for pid, command in self.processes().items():
            if command[: len(WORKLOAD)] == WORKLOAD:
                workload += _pss_mb(pid)
            else:
                own += _pss_mb(pid)
        return own, workload

    def close(self) -> None:
        """Kill what is left in it and remove it."""
        self._top.kill()
        isolate.remove_cgroups(self.path)


def _pss_mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def available_mb() -> float:
    """MemAvailable of the machine."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    raise OSError("cannot read MemAvailable")
