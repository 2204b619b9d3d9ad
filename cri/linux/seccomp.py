"""Loading a seccomp filter: seccomp(2)."""

from __future__ import annotations

import ctypes

from cri.linux.libc import syscall

_SET_MODE_FILTER = 1  # include/uapi/linux/seccomp.h


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


FLAG_LOG, FLAG_SPEC_ALLOW = 2, 4


def load(program: bytes, flags: int = 0) -> None:
    """Filter the calling thread's system calls from now on.

    program: struct sock_filter array (8 bytes each); flags: FLAG_*. Needs no_new_privs or CAP_SYS_ADMIN
    (else EACCES).
    """
    block = _Program(len(program) // 8, program)
    syscall("seccomp", _SET_MODE_FILTER, flags, ctypes.cast(ctypes.pointer(block), ctypes.c_void_p))
