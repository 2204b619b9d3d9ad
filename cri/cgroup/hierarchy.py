"""Which cgroup controller lives where: pure v2, or hybrid with some still bound to v1. Parsing is pure.

Source: cgroups(7); Documentation/admin-guide/cgroup-v2.rst; proc_pid_mountinfo(5).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# the controllers that carry our limits and figures
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "blkio", "hugetlb")


class Hierarchies:
    """Mount points of the hierarchies of a host.

    unified: the v2 tree, "" if none is mounted; v2: controllers the v2 tree has;
    v1: mount point of each controller bound to v1 (several may share one).
    """

    __slots__ = ("unified", "v1", "v2")

    def __init__(self, unified: str, v2: frozenset[str], v1: dict[str, str]) -> None:
        self.unified = unified
        self.v2 = v2
        self.v1 = v1

    def v1_points(self) -> list[str]:
        """The distinct v1 mount points, in a fixed order."""
        return list(dict.fromkeys(self.v1.values()))

    def v1_names(self) -> list[str]:
        """The controllers of each distinct v1 mount point, as mount(8) takes them: "cpu,cpuacct"."""
        groups: dict[str, list[str]] = {}
        for controller, point in self.v1.items():
            groups.setdefault(point, []).append(controller)
        return [",".join(controllers) for controllers in groups.values()]

    @property
    def is_pure_v2(self) -> bool:
        """No controller of ours is on v1."""
        return bool(self.unified) and not self.v1


def parse(mountinfo: Iterable[str], controllers_of_unified: str | None = None) -> Hierarchies:
    """Read mountinfo lines; controllers_of_unified: content of cgroup.controllers (read when None)."""
    unified = ""
    v1: dict[str, str] = {}
    for line in mountinfo:
        before, _, after = line.partition(" - ")
        fields, fstype = before.split(), after.split()
        if len(fields) < 5 or not fstype or fields[3] != "/":
            continue  # a bind mount of a part of the tree is of no use
        point = fields[4].replace("\\040", " ")
        if fstype[0] == "cgroup2" and not unified:
            unified = point
        elif fstype[0] == "cgroup":
            for option in fstype[-1].split(","):
                if option in CONTROLLERS:
                    v1.setdefault(option, point)
    if controllers_of_unified is None:
        controllers_of_unified = _read(f"{unified}/cgroup.controllers") if unified else ""
    return Hierarchies(unified, frozenset(controllers_of_unified.split()), v1)


def detect() -> Hierarchies:
    """Look at the host."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return parse(lines)


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 4096).decode()
    finally:
        os.close(fd)
