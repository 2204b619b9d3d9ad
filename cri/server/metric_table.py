"""The metrics CRI must offer, one line each: name, help, kind, and how a reading gives the value. Pure.

Names and meaning are cAdvisor's, which the kubelet shows at /metrics/cadvisor.
Source: KEP-2371 (cAdvisor-less, CRI-full container and Pod stats), list of required metrics.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final

from cri.api import runtime_pb2 as pb
from cri.server.pressure import Pressure
from cri.server.usage import Usage
from cri.snapshots.overlay import Usage as DiskUsage

LABELS: Final = ("id", "name", "image", "container", "pod", "namespace")


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """All that is measured of one container (or of a Pod's network)."""

    usage: Usage
    disk: DiskUsage
    disk_total_bytes: int
    inodes_total: int
    inodes_free: int
    started_at: int
    resources: pb.LinuxContainerResources
    open_files: int
    sockets: int
    threads: int
    io: Sequence[tuple[str, str, int, int]]  # device, operation, bytes, operations
    network: dict[str, list[int]]


Samples = list[tuple[tuple[str, ...], int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """One metric. labels: beyond LABELS; samples: values of those labels, and the number."""

    name: str
    help: str
    kind: pb.MetricType
    samples: Callable[[Reading], Samples]
    labels: tuple[str, ...] = ()
    is_pod_level: bool = False

    @property
    def label_keys(self) -> tuple[str, ...]:
        return LABELS + self.labels


def _counter(name: str, text: str, value: Callable[[Reading], int]) -> Metric:
    return Metric(f"container_{name}", text, pb.COUNTER, lambda r: [((), value(r))])


def _gauge(name: str, text: str, value: Callable[[Reading], int]) -> Metric:
    return Metric(f"container_{name}", text, pb.GAUGE, lambda r: [((), value(r))])


def _network(name: str, text: str, column: int) -> Metric:
    def samples(reading: Reading) -> Samples:
        return [((interface,), fields[column]) for interface, fields in reading.network.items()]

    return Metric(f"container_network_{name}_total", text, pb.COUNTER, samples, ("interface",), True)


def _io(operation: str, is_bytes: bool) -> Callable[[Reading], int]:
    def value(reading: Reading) -> int:
        return sum(size if is_bytes else count for _, op, size, count in reading.io if op == operation)

    return value


def _pressure(resource: str, kind: str, text: str, value: Callable[[Pressure], int]) -> Metric:
    def samples(reading: Reading) -> Samples:
        found: Pressure | None = getattr(reading.usage.pressures, resource)
        return [((), _seconds(value(found)))] if found else []

    return Metric(f"container_pressure_{resource}_{kind}_seconds_total", text, pb.COUNTER, samples)


def _seconds(nanoseconds: int) -> int:
    return nanoseconds // 1_000_000_000


_MEMORY_FAILURES = Metric(
    "container_memory_failures_total",
    "Cumulative count of memory allocation failures.",
    pb.COUNTER,
    lambda r: [
        (("pgfault", "container"), r.usage.memory.faults),
        (("pgmajfault", "container"), r.usage.memory.major_faults),
    ],
    ("failure_type", "scope"),
)
_BLKIO = Metric(
    "container_blkio_device_usage_total",
    "Blkio device bytes usage.",
    pb.COUNTER,
    lambda r: [((device, operation), size) for device, operation, size, _ in r.io],
    ("device", "operation"),
)

METRICS: tuple[Metric, ...] = (
    _BLKIO,
    _counter("cpu_cfs_periods_total", "Elapsed enforcement periods.", lambda r: r.usage.cpu.periods),
    _counter(
        "cpu_cfs_throttled_periods_total",
        "Throttled enforcement periods.",
        lambda r: r.usage.cpu.throttled_periods,
    ),
    _counter(
        "cpu_cfs_throttled_seconds_total",
        "Seconds the container was throttled.",
        lambda r: _seconds(r.usage.cpu.throttled_ns),
    ),
    _counter(
        "cpu_system_seconds_total", "System CPU time in seconds.", lambda r: _seconds(r.usage.cpu.system_ns)
    ),
    _counter("cpu_usage_seconds_total", "CPU time in seconds.", lambda r: _seconds(r.usage.cpu.total_ns)),
    _counter("cpu_user_seconds_total", "User CPU time in seconds.", lambda r: _seconds(r.usage.cpu.user_ns)),
    _gauge("file_descriptors", "Open file descriptors.", lambda r: r.open_files),
    _gauge("fs_inodes_free", "Inodes free on the file system.", lambda r: r.inodes_free),
    _gauge("fs_inodes_total", "Inodes of the file system.", lambda r: r.inodes_total),
    _gauge("fs_limit_bytes", "Bytes the file system holds.", lambda r: r.disk_total_bytes),
    _counter("fs_reads_bytes_total", "Bytes read.", _io("Read", True)),
    _counter("fs_reads_total", "Reads completed.", _io("Read", False)),
    _gauge("fs_usage_bytes", "Bytes the writable layer takes.", lambda r: r.disk.bytes),
    _counter("fs_writes_bytes_total", "Bytes written.", _io("Write", True)),
    _counter("fs_writes_total", "Writes completed.", _io("Write", False)),
    _gauge("last_seen", "When the container was last seen.", lambda r: _seconds(r.usage.timestamp)),
    _gauge("memory_cache", "Bytes of page cache.", lambda r: r.usage.memory.cache),
    _counter("memory_failcnt", "Times the memory limit was hit.", lambda r: r.usage.memory.fail_count),
    _MEMORY_FAILURES,
    _gauge("memory_kernel_usage", "Bytes of kernel memory.", lambda r: r.usage.memory.kernel),
    _gauge("memory_mapped_file", "Bytes of mapped files.", lambda r: r.usage.memory.mapped),
    _gauge("memory_max_usage_bytes", "Most memory ever used, in bytes.", lambda r: r.usage.memory.peak),
    _gauge("memory_rss", "Bytes of anonymous memory.", lambda r: r.usage.memory.rss),
    _gauge("memory_swap", "Bytes swapped out.", lambda r: r.usage.memory.swap),
    _gauge("memory_usage_bytes", "Bytes of memory in use.", lambda r: r.usage.memory.usage),
    _gauge("memory_working_set_bytes", "Working set in bytes.", lambda r: r.usage.memory.working_set),
    _network("receive_bytes", "Bytes received.", 0),
    _network("receive_packets", "Packets received.", 1),
    _network("receive_errors", "Errors while receiving.", 2),
    _network("receive_packets_dropped", "Packets dropped while receiving.", 3),
    _network("transmit_bytes", "Bytes sent.", 8),
    _network("transmit_packets", "Packets sent.", 9),
    _network("transmit_errors", "Errors while sending.", 10),
    _network("transmit_packets_dropped", "Packets dropped while sending.", 11),
    _counter("oom_events_total", "Out-of-memory kills.", lambda r: r.usage.oom_kills),
    *(
        metric
        for resource in ("cpu", "memory", "io")
        for metric in (
            _pressure(
                resource,
                "stalled",
                f"Seconds in which all processes waited for {resource}.",
                lambda p: p.full.total_ns,
            ),
            _pressure(
                resource,
                "waiting",
                f"Seconds in which some process waited for {resource}.",
                lambda p: p.some.total_ns,
            ),
        )
    ),
    _gauge("processes", "Processes in the container.", lambda r: r.usage.processes),
    _gauge("sockets", "Open sockets.", lambda r: r.sockets),
    _gauge("spec_cpu_period", "CPU period of the container.", lambda r: r.resources.cpu_period),
    _gauge("spec_cpu_quota", "CPU quota of the container.", lambda r: max(0, r.resources.cpu_quota)),
    _gauge("spec_cpu_shares", "CPU shares of the container.", lambda r: r.resources.cpu_shares),
    _gauge("spec_memory_limit_bytes", "Memory limit.", lambda r: r.resources.memory_limit_in_bytes),
    _gauge(
        "spec_memory_swap_limit_bytes",
        "Memory and swap limit.",
        lambda r: max(0, r.resources.memory_swap_limit_in_bytes),
    ),
    _gauge("start_time_seconds", "When the container was started.", lambda r: _seconds(r.started_at)),
    _gauge("threads", "Threads in the container.", lambda r: r.threads),
    _gauge("threads_max", "Threads allowed, 0 for no limit.", lambda r: r.usage.threads_max),
)
