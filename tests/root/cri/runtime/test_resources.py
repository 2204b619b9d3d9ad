"""Limits of a container, as the kernel shows them: on v1 controllers and on v2, whichever the host has."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import pytest

from cri.bundle.spec import Device, Resources
from cri.cgroup import group, hierarchy
from tests.root.cri.runtime.conftest import Node

pytestmark = pytest.mark.root

HOST = hierarchy.detect()


def _files(node: Node, resources: Resources) -> group.Group:
    spec = node.spec("sleep", "30", resources=resources)
    node.client.create(spec)
    node.client.start(spec.id)
    return group.Group(HOST, spec.cgroup)


def _value(made: group.Group, controller: str, name: str) -> str:
    return (Path(made.directory(controller)) / name).read_text().strip()


def test_every_limit_arrives(node: Node) -> None:
    wanted = Resources(
        cpu_shares=512,
        cpu_quota=50000,
        cpu_period=100000,
        memory_limit=64 << 20,
        memory_swap_limit=64 << 20,
        pids_limit=33,
        cpuset_cpus="0",
        cpuset_mems="0",
    )
    made = _files(node, wanted)
    if "cpu" in HOST.v1:
        assert _value(made, "cpu", "cpu.shares") == "512"
        assert _value(made, "cpu", "cpu.cfs_quota_us") == "50000"
        assert _value(made, "memory", "memory.limit_in_bytes") == str(64 << 20)
    else:
        assert _value(made, "cpu", "cpu.weight") == "20"
        assert _value(made, "cpu", "cpu.max") == "50000 100000"
        assert _value(made, "memory", "memory.max") == str(64 << 20)
        assert _value(made, "memory", "memory.swap.max") == "0"
    assert _value(made, "pids", "pids.max") == "33"
    assert _value(made, "cpuset", "cpuset.cpus") == "0"
    assert _value(made, "cpuset", "cpuset.mems") == "0"


def test_a_fork_bomb_ends_at_its_limit(node: Node) -> None:
    script = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; echo all"
    _, lines = node.run("sh", "-c", f"{script} 2>&1", resources=Resources(pids_limit=20))
    assert any("can't fork" in line for line in lines)


def test_a_memory_bomb_ends_itself_alone(node: Node) -> None:
    script = "a=x; while true; do a=$a$a; done"
    spec = node.spec(
        "sh", "-c", script, resources=Resources(memory_limit=16 << 20, memory_swap_limit=16 << 20)
    )
    node.client.create(spec)
    node.client.start(spec.id)
    state = node.client.wait(spec.id, 60)
    assert (state.exit_code, state.reason) == (137, "OOMKilled")


@pytest.mark.skipif("memory" not in HOST.v2, reason="the memory controller is not on cgroup v2")
def test_files_of_cgroup_v2_and_death_as_a_group(node: Node) -> None:
    unified = (("memory.high", str(60 << 20)), ("memory.oom.group", "1"))
    made = _files(node, Resources(memory_limit=64 << 20, unified=unified))
    assert _value(made, "memory", "memory.high") == str(60 << 20)
    assert _value(made, "memory", "memory.oom.group") == "1"
    script = "sh -c 'a=x; while true; do a=$a$a; done' ; echo outlived; sleep 1"
    limits = Resources(memory_limit=16 << 20, memory_swap_limit=16 << 20, unified=unified[1:])
    code, lines = node.run("sh", "-c", script, resources=limits)
    assert (code, lines) == (137, [])


@pytest.mark.skipif(
    not (
        HOST.is_pure_v2
        and "hugetlb" in HOST.v2
        and Path("/sys/kernel/mm/hugepages/hugepages-2048kB").is_dir()
    ),
    reason="no huge pages of 2 MB, or their controller is not on cgroup v2",
)
def test_huge_pages(node: Node) -> None:
    made = _files(node, Resources(hugepage_limits=(("2MB", 4 << 20),)))
    assert _value(made, "hugetlb", "hugetlb.2MB.max") == str(4 << 20)


@pytest.mark.parametrize("score", [500, -500])
def test_the_oom_score(node: Node, score: int) -> None:
    spec = node.spec("sleep", "30", process={"oom_score_adj": score})
    node.client.create(spec)
    pid = node.client.start(spec.id).pid
    found = int(Path(f"/proc/{pid}/oom_score_adj").read_text())
    status = Path("/proc/self/status").read_text()
    mask = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
    if mask >> 24 & 1 or score > 0:  # lowering needs CAP_SYS_RESOURCE
        assert found == score
    else:
        assert found == int(Path("/proc/self/oom_score_adj").read_text())


def test_limits_change_while_it_runs(node: Node) -> None:
    made = _files(node, Resources(memory_limit=64 << 20, pids_limit=20))
    identity = os.path.basename(made.path)
    node.client.update_resources(identity, dataclasses.replace(Resources(), memory_limit=32 << 20))
    name = "memory.limit_in_bytes" if "memory" in HOST.v1 else "memory.max"
    assert _value(made, "memory", name) == str(32 << 20)
    assert _value(made, "pids", "pids.max") == "20"


def test_a_device_is_given_with_its_permissions_alone(node: Node) -> None:
    source = node.path / "fuse"
    os.mknod(source, 0o666 | stat.S_IFCHR, os.makedev(10, 229))
    script = "head -c 0 /dev/given; true > /dev/given; ls -l /dev/given"
    devices = (Device(str(source), "/dev/given", "r"),)
    _, lines = node.run("sh", "-c", f"({script}) 2>&1", devices=devices)
    refused = [line for line in lines if "Operation not permitted" in line]
    assert len(refused) == 1, lines  # writing; reading reaches the driver, if there is one
    assert "/dev/given" in refused[0]
    assert lines[-1].startswith("c")
    assert "10, 229" in lines[-1]


def test_a_directory_of_devices_is_given_whole(node: Node) -> None:
    """/dev/bus/usb has a directory a bus; udev's directories have links, some to what was unplugged."""
    source = node.path / "usb"
    for bus in ("001", "002"):
        (source / bus).mkdir(parents=True)
        os.mknod(source / bus / "001", 0o664 | stat.S_IFCHR, os.makedev(1, 5))
    (source / "dangling").symlink_to("nowhere")
    (source / "text").touch()
    script = "cd /dev/bus/usb && find . -type c; find . ! -type c ! -type d; head -c 3 002/001 | wc -c"
    devices = (Device(str(source), "/dev/bus/usb", "r"),)
    _, lines = node.run("sh", "-c", f"({script}) 2>&1", devices=devices)
    assert sorted(lines[:2]) == ["./001/001", "./002/001"]
    assert lines[2:] == ["3"]
