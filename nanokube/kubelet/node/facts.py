"""Reads the machine: processors, memory, disk, identity. Blocking, but only small kernel files."""

import dataclasses
import os
import platform
from pathlib import Path

from nanokube.kubelet.node.status import Facts

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """What everything on the machine uses, Pods or not."""

    cpu_ns: int
    memory_bytes: int
    memory_available_bytes: int


def usage() -> Usage:
    """Read what is used now. cpu_ns: since the machine started."""
    memory = _meminfo()
    total, available = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
    return Usage(busy_ns(_text("/proc/stat"), os.sysconf("SC_CLK_TCK")), total - available, available)


def busy_ns(stat: str, ticks_per_s: int) -> int:
    """Add up what processors were not idle for. stat: /proc/stat, whose first line is all processors'.

    Source: proc_stat(5): user nice system idle iowait irq softirq steal guest; user includes guest.
    """
    words = stat.partition("\n")[0].split()[1:9]
    ticks = sum(int(word) for place, word in enumerate(words) if place not in (3, 4))
    return ticks * 1_000_000_000 // ticks_per_s


def read(root: Path, runtime_version: str = "") -> Facts:
    """Gather the facts. root: a directory on the disk that holds Pods' data."""
    memory = _meminfo()
    disk = os.statvfs(_existing(root))
    return Facts(
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=memory.get("MemTotal", 0),
        memory_available_bytes=memory.get("MemAvailable", 0),
        disk_bytes=disk.f_blocks * disk.f_frsize,
        disk_available_bytes=disk.f_bavail * disk.f_frsize,
        pids_max=int(_text("/proc/sys/kernel/pid_max") or 32768),
        pids=int((_text("/proc/loadavg").split() or ["", "", "", "0/0"])[3].partition("/")[2]),
        machine_id=_text("/etc/machine-id"),
        system_uuid=_text("/sys/class/dmi/id/product_uuid"),
        boot_id=_text("/proc/sys/kernel/random/boot_id"),
        kernel=platform.release(),
        os_image=_os_image(),
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        runtime_version=runtime_version,
        hugepages=_hugepages(),
    )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _meminfo() -> dict[str, int]:
    found = {}
    for line in _text("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith("kB"):
            found[name] = int(rest.split()[0]) * 1024
    return found


def _os_image() -> str:
    for line in _text("/etc/os-release").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip('"')
    return "Linux"


def _hugepages() -> dict[str, int]:
    """Return bytes of reserved huge pages by size (2Mi, 1Gi)."""
    found = {}
    for size, kb in (("2Mi", 2048), ("1Gi", 1048576)):
        count = _text(f"/sys/kernel/mm/hugepages/hugepages-{kb}kB/nr_hugepages")
        if count and int(count):
            found[size] = int(count) * kb * 1024
    return found
