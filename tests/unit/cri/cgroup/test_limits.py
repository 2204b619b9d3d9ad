"""Where limits go on either cgroup version."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from cri.cgroup import devices, hierarchy, limits
from cri.cgroup.group import Group

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:32 /part /mnt/memory rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
""".splitlines()
PURE = ["30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"]

hybrid = hierarchy.parse(HYBRID, "hugetlb pids")
pure = hierarchy.parse(PURE, "cpuset cpu io memory pids")


def test_controllers_are_found_one_by_one() -> None:
    assert hybrid.unified == "/sys/fs/cgroup/unified"
    assert hybrid.v1 == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory",
    }
    assert hybrid.v1_points() == ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"]
    assert not hybrid.is_pure_v2
    assert pure.is_pure_v2
    group = Group(hybrid, "n/c")
    assert group.directory("memory") == "/sys/fs/cgroup/memory/n/c"
    assert group.directory("pids") == "/sys/fs/cgroup/unified/n/c"
    assert group.directory("cpuset") == ""


@pytest.mark.parametrize(
    ("resources", "v1", "v2"),
    [
        ({"cpu_shares": 1024}, [("cpu", "cpu.shares", "1024")], [("cpu", "cpu.weight", "39")]),
        (
            {"cpu_quota": 50000, "cpu_period": 100000},
            [("cpu", "cpu.cfs_period_us", "100000"), ("cpu", "cpu.cfs_quota_us", "50000")],
            [("cpu", "cpu.max", "50000 100000")],
        ),
        ({"cpu_quota": -1}, [("cpu", "cpu.cfs_quota_us", "-1")], [("cpu", "cpu.max", "max 100000")]),
        (
            {"memory_limit": 100, "memory_swap_limit": 150},
            [("memory", "memory.limit_in_bytes", "100"), ("memory", "memory.memsw.limit_in_bytes", "150")],
            [("memory", "memory.max", "100"), ("memory", "memory.swap.max", "50")],
        ),
        ({"pids_limit": -1}, [("pids", "pids.max", "max")], [("pids", "pids.max", "max")]),
        ({"unified": (("memory.high", "9"),)}, [], [("memory", "memory.high", "9")]),
        ({"unified": (("memory.high/../x", "9"),)}, [], []),
    ],
)
def test_settings(resources: dict[str, Any], v1: list[Any], v2: list[Any]) -> None:
    assert limits.settings(resources, hybrid) == v1
    assert limits.settings(resources, pure) == v2


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262144, 10000), (0, 1), (10**6, 10000)])
def test_weights(shares: int, weight: int) -> None:
    assert limits.cpu_weight(shares) == weight


@pytest.mark.parametrize("path", ["", "/", "a//b", "../x", "a/../b", "a/."])
def test_paths_that_leave_the_tree_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="cannot use cgroup path"):
        Group(pure, path)


def test_device_rules_as_v1_writes_them() -> None:
    assert [devices.line(r) for r in (devices.DEFAULT[0], devices.DEFAULT[2], devices.EVERYTHING[0])] == [
        "c *:* m",
        "c 1:3 rwm",
        "a",
    ]


def test_device_program_has_whole_instructions() -> None:
    assert len(devices.program(devices.DEFAULT)) % 8 == 0


def test_huge_pages_on_either_version() -> None:
    wanted = {"hugepage_limits": (("2MB", 4096),)}
    assert limits.settings(wanted, pure) == [("hugetlb", "hugetlb.2MB.max", "4096")]
    old = hierarchy.Hierarchies("", frozenset(), {"hugetlb": "/sys/fs/cgroup/hugetlb"})
    assert limits.settings(wanted, old) == [("hugetlb", "hugetlb.2MB.limit_in_bytes", "4096")]


def test_what_is_no_device_has_no_rules(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is no device"):
        devices.of_path(str(tmp_path / "file"), "rwm")
    assert devices.of_path(str(tmp_path), "rwm") == []  # a directory may come to have some
    assert devices.of_path("/dev/null", "r") == [("c", 1, 3, "r")]


def test_devices_of_directories_are_found_however_deep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regular files stand for nodes, which only root makes; their number is that of /dev/null."""
    (tmp_path / "bus" / "usb" / "001").mkdir(parents=True)
    (tmp_path / "bus" / "usb" / "001" / "002").touch()
    (tmp_path / "node").touch()
    (tmp_path / "console").touch()
    (tmp_path / "pts").mkdir()
    (tmp_path / "pts" / "0").touch()
    (tmp_path / "alias").symlink_to("node")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "socket").mkdir()
    monkeypatch.setattr(devices, "_is_device", lambda status: stat.S_ISREG(status.st_mode))
    found = [path for path, _ in devices.nodes(str(tmp_path))]
    assert found == ["/bus/usb/001/002", "/node"]
    assert [path for path, _ in devices.nodes(str(tmp_path / "alias"))] == [""]
    monkeypatch.setattr(devices, "_NODES_MAX", 1)
    with pytest.raises(ValueError, match="more than 1 devices"):
        devices.nodes(str(tmp_path))
