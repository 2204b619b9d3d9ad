"""What a runtime holds, counted, and whether it grew."""

import contextlib
import dataclasses
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from scripts.bench.measure import account
from scripts.bench.measure.target import Target

Counts = dict[str, float]
# A process may keep this much more after thousands of Pods; of 10,000, a leak of 75 bytes each is above it.
MEMORY_MB = 0.5
_IS_MEMORY = "MB"


@dataclasses.dataclass(frozen=True, slots=True)
class Growth:
    """One count before and after."""

    name: str
    before: float
    after: float

    @property
    def is_leak(self) -> bool:
        """Tell whether it grew beyond what is allowed."""
        return self.after - self.before > (MEMORY_MB if self.name.endswith(_IS_MEMORY) else 0)


def count(target: Target, run: Path, lib: Path) -> Counts:
    """Count everything a runtime may leak. run, lib: its state directories."""
    found: Counts = {}
    mounts: dict[str, int] = {}
    processes = target.account.processes()
    found["processes"] = len(processes)
    found["pinned namespaces"] = 0
    for pid in processes:
        with contextlib.suppress(OSError):
            found |= _of_process(pid)
            lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
            mounts[os.readlink(f"/proc/{pid}/ns/mnt")] = len(lines)
            pins = sum(" - nsfs " in line for line in lines)
            found["pinned namespaces"] = max(found["pinned namespaces"], pins)
    found["mounts"] = sum(mounts.values())
    found["mount namespaces"] = len(mounts)
    found["cgroups"] = sum(_directories(Path(point) / target.account.path) for point in _hierarchies())
    found["files of state (run)"] = _entries(run)
    found["files of state (lib)"] = _entries(lib)
    for name, command in _NETWORK.items():
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[name] = len(text.splitlines())
    return found


def memory(target: Target) -> Counts:
    """Count the memory of each process only."""
    found: Counts = {}
    for pid in target.account.processes():
        with contextlib.suppress(OSError):
            found |= {name: value for name, value in _of_process(pid).items() if name.endswith(_IS_MEMORY)}
    return found


_NETWORK: Mapping[str, list[str]] = {
    "links": ["ip", "-o", "link"],
    "addresses": ["ip", "-o", "address"],
    "routes": ["ip", "route", "show", "table", "all"],
    "forwarding entries": ["bridge", "fdb"],
    "lines of nft rules": ["nft", "list", "ruleset"],
}


def compare(before: Counts, after: Counts) -> list[Growth]:
    """Pair the counts by name; what is only in one of them was 0 in the other. Pure."""
    names = [*before, *(name for name in after if name not in before)]
    return [Growth(name, before.get(name, 0), after.get(name, 0)) for name in names]


def _of_process(pid: int) -> Counts:
    """Descriptors, threads and memory of a process, by its name."""
    name = Path(f"/proc/{pid}/comm").read_text().strip().replace("python", "server")
    return {
        f"{name}: descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        f"{name}: threads": len(os.listdir(f"/proc/{pid}/task")),
        f"{name}: RSS, MB": account.resident_mb(pid, "Rss"),
        # not PSS: it changes when others who map the same libraries come or go
        f"{name}: anonymous, MB": account.resident_mb(pid, "Anonymous"),
    }


def _hierarchies() -> list[str]:
    fields = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [each[1] for each in fields if each[2] in ("cgroup", "cgroup2")]


def _directories(top: Path) -> int:
    return sum(1 for _ in os.walk(top)) if top.exists() else 0


def _entries(top: Path) -> int:
    return sum(len(directories) + len(files) for _, directories, files in os.walk(top))
