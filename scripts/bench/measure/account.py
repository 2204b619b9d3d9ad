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
        own: dict[str, str] = {
            name: found.v1[name] for name in ("cpu", "cpuacct", "memory") if name in found.v1
        }
        # Accounting needs these hierarchies only; in all others the runtime stays where it was born.
        self._hierarchies = hierarchy.Hierarchies("" if own else found.unified, found.v2, own)
        self.path = path
        self._top = group.Group(self._hierarchies, path)
        runtime = group.Group(self._hierarchies, f"{path}/runtime")
        runtime.create()
        self.join = [f"{at}/cgroup.procs" for at in [*runtime.v1_directories(), runtime.unified] if at]

    def cpu_ms(self) -> float:
        """CPU time, user and system, of all that ever ran in it, containers included."""
        if directory := self._top.directory("cpuacct"):
            return int(group.read(f"{directory}/cpuacct.usage")) / 1e6
        words = group.read(f"{self._top.unified}/cpu.stat").split()
        return int(words[words.index("usage_usec") + 1]) / 1e3

    def charged_mb(self) -> float:
        """Memory charged to it, kernel memory included, file cache aside."""
        directory, is_v1 = self._top.directory("memory"), "memory" in self._hierarchies.v1
        usage = int(group.read(f"{directory}/{'memory.usage_in_bytes' if is_v1 else 'memory.current'}"))
        for line in group.read(f"{directory}/memory.stat").splitlines():
            key, _, value = line.partition(" ")
            if key.removeprefix("total_" if is_v1 else "") in ("active_file", "inactive_file"):
                usage -= int(value) if is_v1 == key.startswith("total_") else 0
        return usage / 2**20

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
                workload += resident_mb(pid, "Pss")
            else:
                own += resident_mb(pid, "Pss")
        return own, workload

    def available_mb(self) -> float:
        """MemAvailable of the machine, as if processes elsewhere had kept no memory of their own.

        Only changes of it mean something: other programs of the machine come and go, and do not count.
        """
        own = sum(resident_mb(pid, "Anonymous") for pid in self.processes())
        return _machine_mb("MemAvailable") + _machine_mb("AnonPages") - own

    def close(self) -> None:
        """Kill what is left in it and remove it."""
        self._top.kill()
        isolate.remove_cgroups(self.path)


def resident_mb(pid: int, field: str) -> float:
    """One line of a process's smaps_rollup: Rss, Pss, Anonymous; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return _field_mb(Path(f"/proc/{pid}/smaps_rollup"), field)
    return 0.0


def _machine_mb(field: str) -> float:
    return _field_mb(Path("/proc/meminfo"), field)


def _field_mb(path: Path, field: str) -> float:
    for line in path.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return 0.0
