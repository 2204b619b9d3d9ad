"""What a pidfd tells beyond os.pidfd_open and signal.pidfd_send_signal.

Source: include/uapi/linux/pidfd.h; the exit code is kept since Linux 6.15, inodes are unique since 6.9.
"""

from __future__ import annotations

import fcntl
import os
import struct

_GET_INFO = 0xC048FF0B  # _IOWR(0xFF, 11, 72 bytes)
_INFO_EXIT = 8
_EXIT_CODE_OFFSET = 60


def exit_status(pidfd: int) -> int | None:
    """The wait status of a process that was reaped by anyone; None if not (yet) known or not supported."""
    block = bytearray(72)
    struct.pack_into("=Q", block, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _GET_INFO, block)
    except OSError:
        return None
    (mask,) = struct.unpack_from("=Q", block, 0)
    if not mask & _INFO_EXIT:
        return None
    status: int = struct.unpack_from("=i", block, _EXIT_CODE_OFFSET)[0]
    return status


def process_id(pidfd: int) -> int:
    """The process id behind a pidfd as the caller's PID namespace counts; -1 if the process is gone."""
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key == "Pid":
                return int(value)
    return -1


def identity(pid: int, pidfd: int) -> str:
    """A name for a live process that no other process of this boot has.

    The pidfd's inode is unique since Linux 6.9 and the same for all before; the start time tells the rest.
    """
    return f"{os.fstat(pidfd).st_ino}.{start_time(pid)}"


def start_time(pid: int) -> int:
    """Clock ticks between boot and the start of a process, 0 if it is gone. Source: proc_pid_stat(5)."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int(os.read(fd, 4096).rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return 0
    finally:
        os.close(fd)
