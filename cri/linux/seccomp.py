"""Loading a seccomp filter: seccomp(2)."""

from __future__ import annotations

import ctypes
import struct

from cri.linux.libc import syscall

_SET_MODE_FILTER = 1  # include/uapi/linux/seccomp.h
_PROGRAM = struct.Struct("@HP")  # struct sock_fprog of include/uapi/linux/filter.h: length, filter

FLAG_LOG, FLAG_SPEC_ALLOW = 2, 4


def load(program: bytes, flags: int = 0) -> None:
    """Filter the calling thread's system calls from now on.

    program: struct sock_filter array (8 bytes each); flags: FLAG_*. Needs no_new_privs or CAP_SYS_ADMIN
    (else EACCES).
    """
    # Not a ctypes.Structure: in a process just cloned its first use copies pages for 60 µs.
    address = ctypes.cast(ctypes.c_char_p(program), ctypes.c_void_p).value
    syscall("seccomp", _SET_MODE_FILTER, flags, _PROGRAM.pack(len(program) // 8, address))
