"""What a cgroup used, read from its files, v1 or v2 a controller at a time. Parsing is pure.

Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{memory,cpuacct}.rst.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping

from cri.cgroup.group import Group, read
from cri.server import pressure

_NO_LIMIT = 1 << 60  # v1 shows "no limit" as a huge page-rounded number


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """Bytes, and counts of page faults. limit 0 = none; available is limit less working set.

    swap_limit: of swap alone; None = none.
    """

    usage: int = 0
    working_set: int = 0
    rss: int = 0
    cache: int = 0
    mapped: int = 0
    kernel: int = 0
    faults: int = 0
    major_faults: int = 0
    limit: int = 0
    peak: int = 0
    fail_count: int = 0
    swap: int = 0
    swap_limit: int | None = None

    @property
    def available(self) -> int:
        return max(0, self.limit - self.working_set) if self.limit else 0

    @property
    def swap_available(self) -> int | None:
        return None if self.swap_limit is None else max(0, self.swap_limit - self.swap)


@dataclasses.dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time in nanoseconds; throttling counts."""

    total_ns: int = 0
    user_ns: int = 0
    system_ns: int = 0
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """One reading; timestamp in nanoseconds since the epoch."""

    timestamp: int
    cpu: Cpu
    memory: Memory
    processes: int
    threads_max: int
    oom_kills: int
    pressures: pressure.Pressures = pressure.UNTOLD


def collect(group: Group, now: Callable[[], int] = time.time_ns) -> Usage:
    """Read a cgroup; one that is gone reads as zeros. Raises OSError."""
    pids = group.directory("pids")
    return Usage(
        timestamp=now(),
        cpu=_cpu(group),
        memory=_memory(group),
        processes=number(read(f"{pids}/pids.current")) if pids else 0,
        threads_max=number(read(f"{pids}/pids.max")) if pids else 0,
        oom_kills=group.oom_kills(),
        pressures=pressure.collect(group),
    )


def number(text: str) -> int:
    """Read a cgroup number; `max`, nothing and v1's huge default are 0, which stands for no limit."""
    word = text.strip()
    value = int(word) if word.lstrip("-").isdigit() else 0
    return 0 if value >= _NO_LIMIT or value < 0 else value


def keyed(text: str) -> dict[str, int]:
    """Read a flat-keyed file: a name and a number a line."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _cpu(group: Group) -> Cpu:
    if directory := group.hierarchies.v1.get("cpuacct"):
        base = f"{directory}/{group.path}"
        throttling = keyed(read(f"{group.directory('cpu')}/cpu.stat"))
        return Cpu(
            total_ns=number(read(f"{base}/cpuacct.usage")),
            user_ns=number(read(f"{base}/cpuacct.usage_user")),
            system_ns=number(read(f"{base}/cpuacct.usage_sys")),
            periods=throttling.get("nr_periods", 0),
            throttled_periods=throttling.get("nr_throttled", 0),
            throttled_ns=throttling.get("throttled_time", 0),
        )
    stat = keyed(read(f"{group.unified}/cpu.stat")) if group.unified else {}
    return Cpu(
        total_ns=stat.get("usage_usec", 0) * 1000,
        user_ns=stat.get("user_usec", 0) * 1000,
        system_ns=stat.get("system_usec", 0) * 1000,
        periods=stat.get("nr_periods", 0),
        throttled_periods=stat.get("nr_throttled", 0),
        throttled_ns=stat.get("throttled_usec", 0) * 1000,
    )


def _memory(group: Group) -> Memory:
    directory = group.directory("memory")
    if not directory:
        return Memory()

    def value(name: str) -> int:
        return number(read(f"{directory}/{name}"))

    stat = keyed(read(f"{directory}/memory.stat"))
    if "memory" in group.hierarchies.v1:
        return _memory_v1(value, stat)
    most = read(f"{directory}/memory.swap.max").strip()
    return dataclasses.replace(_memory_v2(value, stat), swap_limit=int(most) if most.isdigit() else None)


def _memory_v1(value: Callable[[str], int], stat: Mapping[str, int]) -> Memory:
    usage = value("memory.usage_in_bytes")
    limit, both = value("memory.limit_in_bytes"), value("memory.memsw.limit_in_bytes")
    return Memory(
        usage=usage,
        working_set=max(0, usage - stat.get("total_inactive_file", 0)),
        rss=stat.get("total_rss", 0),
        cache=stat.get("total_cache", 0),
        mapped=stat.get("total_mapped_file", 0),
        kernel=value("memory.kmem.usage_in_bytes"),
        faults=stat.get("total_pgfault", 0),
        major_faults=stat.get("total_pgmajfault", 0),
        limit=limit,
        peak=value("memory.max_usage_in_bytes"),
        fail_count=value("memory.failcnt"),
        swap=stat.get("total_swap", 0),
        swap_limit=max(0, both - limit) if both and limit else None,
    )


def _memory_v2(value: Callable[[str], int], stat: Mapping[str, int]) -> Memory:
    usage = value("memory.current")
    return Memory(
        usage=usage,
        working_set=max(0, usage - stat.get("inactive_file", 0)),
        rss=stat.get("anon", 0),
        cache=stat.get("file", 0),
        mapped=stat.get("file_mapped", 0),
        kernel=stat.get("kernel", 0),
        faults=stat.get("pgfault", 0),
        major_faults=stat.get("pgmajfault", 0),
        limit=value("memory.max"),
        peak=value("memory.peak"),
        swap=value("memory.swap.current"),
    )
