"""bpf(2), as far as device filters on cgroup v2 need it. Source: include/uapi/linux/bpf.h."""

from __future__ import annotations

import ctypes
import os
import struct

from cri.linux.libc import syscall

_PROG_LOAD, _PROG_ATTACH = 5, 8
_PROG_TYPE_CGROUP_DEVICE, _CGROUP_DEVICE = 15, 6
_ALLOW_MULTI = 2


def attach_device_filter(cgroup_fd: int, program: bytes) -> None:
    """Check every device access of a cgroup v2's processes with an eBPF program, as long as it exists."""
    code = ctypes.create_string_buffer(program, len(program))
    license_ = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "=IIQQIIQII",
        _PROG_TYPE_CGROUP_DEVICE,
        len(program) // 8,
        ctypes.addressof(code),
        ctypes.addressof(license_),
        0,
        0,
        0,
        0,
        0,
    )
    fd = syscall("bpf", _PROG_LOAD, attributes, len(attributes))
    try:
        attach = struct.pack("=IIII", cgroup_fd, fd, _CGROUP_DEVICE, _ALLOW_MULTI)
        syscall("bpf", _PROG_ATTACH, attach, len(attach))
    finally:
        os.close(fd)
