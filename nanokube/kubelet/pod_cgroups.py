"""The cgroups of Pods: made and limited before anything runs in them, and removed.

Source: pkg/kubelet/kubelet_pods.go cleanupOrphanedPodCgroups, pkg/kubelet/cm/pod_container_manager_linux.go,
cgroup_v1_manager_linux.go, cgroup_v2_manager_linux.go.
"""

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cri.api import runtime_pb2 as pb

PREFIX = "pod"

Limits = Mapping[str, int]  # by key; memory in bytes, quota in microseconds a period; both -1 for none
MEMORY, QUOTA, SHARES = "memory", "quota", "shares"
PERIOD_US = 100_000
_FILES = {  # by key: the file in v1, the file in v2
    MEMORY: ("memory.limit_in_bytes", "memory.max"),
    QUOTA: ("cpu.cfs_quota_us", "cpu.max"),
    SHARES: ("cpu.shares", "cpu.weight"),
}
_USED = ("memory.usage_in_bytes", "memory.current")
_V1_ENDLESS = 1 << 62  # v1 says "no limit" as the largest page-aligned number


def hierarchies() -> list[Path]:
    """List the mount points of every cgroup hierarchy, v1 and v2. Raises OSError."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _dash, rest = line.partition(" - ")
        if rest.split(" ")[0] in ("cgroup", "cgroup2"):
            found.append(Path(fields.split(" ")[4]))
    return found


def find(points: Iterable[Path], root: str) -> Mapping[str, Sequence[Path]]:
    """Return the cgroups of Pods by UID: <point>/<root>/<qos>/pod<uid>."""
    found: dict[str, list[Path]] = defaultdict(list)
    for point in points:
        for place in (point / root.strip("/")).glob(f"*/{PREFIX}*"):
            found[place.name.removeprefix(PREFIX)].append(place)
    return found


def remove(places: Iterable[Path]) -> None:
    """Remove cgroups with what is below; one that holds a process stays for the next time."""
    for place in places:
        for directory, _names, _files in os.walk(place, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def is_unified(points: Iterable[Path]) -> bool:
    """Tell whether there is cgroup v2 alone. Blocking."""
    return Path("/sys/fs/cgroup") in points and Path("/sys/fs/cgroup/cgroup.controllers").exists()


def wanted(built: pb.LinuxContainerResources) -> dict[str, int]:
    """Return the limits that a Pod's cgroup should have. Pure. What is not limited is left alone."""
    found = {SHARES: built.cpu_shares, QUOTA: built.cpu_quota, MEMORY: built.memory_limit_in_bytes}
    return {key: value for key, value in found.items() if value}


def only(limits: Limits, kind: str) -> dict[str, int]:
    """Keep the limits of "cpu" or "memory". Pure."""
    keys = (MEMORY,) if kind == "memory" else (QUOTA, SHARES)
    return {key: value for key, value in limits.items() if key in keys}


def steps(have: Limits, want: Limits) -> tuple[dict[str, int], dict[str, int]]:
    """Split what changes into what must be written before containers change, and after. Pure.

    A container may never have more than its Pod: what grows is written first, what shrinks last.
    """
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for key, value in want.items():
        known = have.get(key)
        if known is not None and known != value:
            (after if known == -1 or value < known else before)[key] = value
    return before, after


def weight(shares: int) -> int:
    """Turn v1 shares (2 to 262144) into v2 weight (1 to 10000). Pure."""
    return 1 + (shares - 2) * 9999 // 262142


def make(points: Iterable[Path], group: str) -> None:
    """Make a cgroup wherever memory or CPU time are shared out. Blocking. Raises OSError.

    The runtime makes it too, but only with the first container, which would then run unbounded for a while.
    """
    for point in points:
        if (point / "cgroup.controllers").exists():
            _make_unified(point, group)
        elif any((point / names[0]).exists() for names in _FILES.values()):
            (point / group.strip("/")).mkdir(parents=True, exist_ok=True)


def _make_unified(point: Path, group: str) -> None:
    """Make a v2 cgroup; what is above it hands its controllers down."""
    present = {"cpu", "memory"} & set((point / "cgroup.controllers").read_text().split())
    if not present:
        return
    place = point
    for part in group.strip("/").split("/"):
        with contextlib.suppress(OSError):  # EBUSY where processes are: the runtime fails there, and tells
            (place / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(present)))
        place /= part
        place.mkdir(exist_ok=True)


def read(points: Iterable[Path], group: str) -> dict[str, int]:
    """Read the limits of a cgroup, where a controller is there; shares stand for a v2 weight. Blocking."""
    found: dict[str, int] = {}
    for point in points:
        for key, names in _FILES.items():
            for name in names:
                with contextlib.suppress(OSError, ValueError):
                    found[key] = _value(name, (point / group.strip("/") / name).read_text())
    return found


def _value(name: str, text: str) -> int:
    word = text.split()[0]
    if word == "max":
        return -1
    value = int(word)
    if name == "cpu.weight":  # the least shares of that weight
        return 2 + -(-(value - 1) * 262142 // 9999)
    return -1 if name == "memory.limit_in_bytes" and value >= _V1_ENDLESS else value


def write(points: Iterable[Path], group: str, limits: Limits) -> None:
    """Limit a cgroup, by the controllers that it has. Blocking. Raises OSError."""
    for point in points if limits else ():
        directory = point / group.strip("/")
        for key, value in limits.items():
            for name in _FILES[key]:
                if (directory / name).exists():
                    (directory / name).write_text(_spelled(name, value))


def _spelled(name: str, value: int) -> str:
    if name == "cpu.weight":
        return str(weight(value))
    if name == "cpu.max":
        return f"{'max' if value == -1 else value} {PERIOD_US}"
    return "max" if name == "memory.max" and value == -1 else str(value)


def memory_used(points: Iterable[Path], group: str) -> int:
    """Return the bytes a cgroup uses; 0 when nobody counts. Blocking."""
    for point in points:
        for name in _USED:
            with contextlib.suppress(OSError, ValueError):
                return int((point / group.strip("/") / name).read_text())
    return 0
