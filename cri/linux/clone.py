"""Processes and namespaces: clone3(2), unshare(2), setns(2)."""

from __future__ import annotations

import ctypes
import signal

from cri.linux.libc import NUMBERS, check, lib, lib_locked

# include/uapi/linux/sched.h
CLONE_PIDFD = 0x1000
CLONE_PARENT = 0x8000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000


class _CloneArgs(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("pidfd", ctypes.c_uint64),
        ("child_tid", ctypes.c_uint64),
        ("parent_tid", ctypes.c_uint64),
        ("exit_signal", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("stack_size", ctypes.c_uint64),
        ("tls", ctypes.c_uint64),
        ("set_tid", ctypes.c_uint64),
        ("set_tid_size", ctypes.c_uint64),
        ("cgroup", ctypes.c_uint64),
    ]


_args = _CloneArgs()
_args_pointer = ctypes.byref(_args)
_args_size = ctypes.c_long(ctypes.sizeof(_args))
_pidfd = ctypes.c_int(-1)
_number = ctypes.c_long(NUMBERS["clone3"])
_clone3 = lib_locked.syscall
_clone3.restype = ctypes.c_long


def clone3(flags: int, cgroup_fd: int = -1) -> tuple[int, int]:
    """Fork from a single-threaded Python; (pid, pidfd) in the parent, (0, -1) in the child.

    None of Python's fork hooks run: the child may only make system calls and execute or exit.
    cgroup_fd: a cgroup v2 directory the child is born in, -1 = the caller's. The caller owns the pidfd
    (close-on-exec). Raises OSError. Source: clone(2).
    """
    _args.flags = flags | CLONE_PIDFD | (CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0)
    _args.pidfd = ctypes.addressof(_pidfd)
    _args.exit_signal = 0 if flags & CLONE_PARENT else signal.SIGCHLD  # a sibling inherits ours
    _args.cgroup = max(cgroup_fd, 0)
    pid = check(_clone3(_number, _args_pointer, _args_size), "clone3")
    return (pid, _pidfd.value) if pid else (0, -1)


def unshare(flags: int) -> None:
    """Give the calling thread its own namespaces. Raises OSError. Source: unshare(2)."""
    check(lib.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, flags: int = 0) -> None:
    """Enter the namespace of fd (a nsfs file), or those in flags of a process (fd a pidfd). setns(2)."""
    check(lib.setns(ctypes.c_int(fd), ctypes.c_int(flags)), "setns")
