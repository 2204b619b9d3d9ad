"""Which device nodes a container may use: rules, and how each cgroup version takes them.

v1: lines in devices.allow; v2: a small eBPF program on the group. Rules and the program are pure.
Source: cgroup-v1/devices.rst; include/uapi/linux/bpf.h (struct bpf_cgroup_dev_ctx).
"""

from __future__ import annotations

import os
import stat
import struct

from cri.cgroup.group import Group, write
from cri.linux import bpf

Rule = tuple[str, int, int, str]  # "c" or "b" or "a", major, minor (-1 = any), permissions out of "rwm"

DEFAULT: tuple[Rule, ...] = (
    ("c", -1, -1, "m"),
    ("b", -1, -1, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 7, "rwm"),  # full
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 5, 0, "rwm"),  # tty
    ("c", 5, 1, "rwm"),  # console
    ("c", 5, 2, "rwm"),  # ptmx
    ("c", 136, -1, "rwm"),  # pts/*
)
EVERYTHING: tuple[Rule, ...] = (("a", -1, -1, "rwm"),)
# Directories of /dev with a life of their own. Source: containerd pkg/oci, getDevices.
_NOT_GIVEN = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
# /dev/bus/usb has a directory a bus and a node a device; all of /dev of a big host has a thousand or two.
_DEPTH_MAX, _NODES_MAX = 16, 4096


def restrict(group: Group, rules: tuple[Rule, ...]) -> None:
    """Allow the processes of a group only what rules list. Raises OSError."""
    if rules == EVERYTHING:
        return
    if "devices" in group.hierarchies.v1:
        directory = group.directory("devices")
        write(f"{directory}/devices.deny", "a")
        write(f"{directory}/devices.allow", *map(line, rules))
    elif group.unified:
        fd = os.open(group.unified, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            bpf.attach_device_filter(fd, program(rules))
        finally:
            os.close(fd)


def line(rule: Rule) -> str:
    """Write a rule as v1's devices.allow wants it."""
    kind, major, minor, permissions = rule
    if kind == "a":
        return "a"
    return f"{kind} {'*' if major < 0 else major}:{'*' if minor < 0 else minor} {permissions}"


_ACCESS = {"m": 1, "r": 2, "w": 4}
_KIND = {"b": 1, "c": 2}
_EXIT = struct.pack("<BBhi", 0x95, 0, 0, 0)


def program(rules: tuple[Rule, ...]) -> bytes:
    """Compile rules to eBPF: returns 1 (allow) if a rule covers the whole access, else 0.

    Context words: access_type (kind in the low half, access in the high), major, minor.
    """
    code = _load(2, 0) + _alu(0x54, 2, 0xFFFF)  # r2 = kind
    code += _load(3, 0) + _alu(0x74, 3, 16)  # r3 = access
    code += _load(4, 4) + _load(5, 8)  # r4 = major, r5 = minor
    for rule in rules:
        code += _block(rule)
    return code + _move(0, 0) + _EXIT


def _block(rule: Rule) -> bytes:
    """Tests that jump past the block if the rule does not cover the access; then allow."""
    kind, major, minor, permissions = rule
    tests: list[tuple[bytes, bytes]] = []
    if kind != "a":
        tests.append((b"", _test(0x55, 2, _KIND[kind])))
    allowed = sum(_ACCESS[p] for p in permissions)
    if allowed != 7:  # any bit outside the allowed ones?
        copy = struct.pack("<BBhi", 0xBC, 1 | 3 << 4, 0, 0) + _alu(0x54, 1, 7 & ~allowed)
        tests.append((copy, _test(0x55, 1, 0)))
    if major >= 0:
        tests.append((b"", _test(0x55, 4, major)))
    if minor >= 0:
        tests.append((b"", _test(0x55, 5, minor)))
    code = _move(0, 1) + _EXIT
    for before, test in reversed(tests):
        skip = len(code) // 8
        code = before + test[:2] + struct.pack("<h", skip) + test[4:] + code
    return code


def _load(register: int, offset: int) -> bytes:
    return struct.pack("<BBhi", 0x61, register | 1 << 4, offset, 0)  # u32 from the context in r1


def _alu(opcode: int, register: int, value: int) -> bytes:
    return struct.pack("<BBhi", opcode, register, 0, value)


def _move(register: int, value: int) -> bytes:
    return struct.pack("<BBhi", 0xB7, register, 0, value)


def _test(opcode: int, register: int, value: int) -> bytes:
    return struct.pack("<BBhi", opcode, register, 0, value)


def of_path(path: str, permissions: str) -> list[Rule]:
    """Rules for a device node, or for all below a directory. Raises OSError, ValueError."""
    rules = [_rule(status, permissions) for _, status in nodes(path)]
    return list(dict.fromkeys(rules))


def nodes(path: str) -> list[tuple[str, os.stat_result]]:
    """List the device nodes that a path stands for: (path below it, "" = itself, status).

    The path may be a link, as udev's names are. Links in a directory are passed over, as by other runtimes:
    a node would come once a name. So is what is no device, and what /dev has that is not the host's to give.
    Raises OSError; ValueError for what is no device, or a directory of too many.
    """
    status = os.stat(path)
    if not stat.S_ISDIR(status.st_mode):
        if not _is_device(status):
            raise ValueError("is no device")
        return [("", status)]
    found: list[tuple[str, os.stat_result]] = []
    _walk(path, "", found)
    return found


def _walk(top: str, below: str, found: list[tuple[str, os.stat_result]]) -> None:
    if below.count("/") > _DEPTH_MAX:
        raise ValueError(f"has directories more than {_DEPTH_MAX} deep")
    for name in sorted(os.listdir(top + below)):
        path = f"{below}/{name}"
        try:
            status = os.lstat(top + path)
            if stat.S_ISDIR(status.st_mode) and name not in _NOT_GIVEN:
                _walk(top, path, found)
        except FileNotFoundError:  # unplugged just now
            continue
        if _is_device(status) and name != "console":
            found.append((path, status))
        if len(found) > _NODES_MAX:
            raise ValueError(f"has more than {_NODES_MAX} devices")


def _is_device(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)


def _rule(status: os.stat_result, permissions: str) -> Rule:
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b"
    return kind, os.major(status.st_rdev), os.minor(status.st_rdev), permissions
