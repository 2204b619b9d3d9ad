"""The C library and system call numbers that the other modules of this package share.

Source: include/uapi/asm-generic/unistd.h, arch/x86/entry/syscalls/syscall_64.tbl.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

lib = ctypes.CDLL(None, use_errno=True)  # releases the interpreter's lock during a call
lib_locked = ctypes.PyDLL(None, use_errno=True)  # keeps it: for calls that fork

_X86_64 = {"pivot_root": 155, "capget": 125, "capset": 126, "keyctl": 250, "seccomp": 317, "bpf": 321}
_GENERIC = {
    "pivot_root": 41,
    "capget": 90,
    "capset": 91,
    "keyctl": 219,
    "seccomp": 277,
    "bpf": 280,
}  # aarch64, riscv64

NUMBERS: dict[str, int] = {
    **(_X86_64 if os.uname().machine == "x86_64" else _GENERIC),
    # equal on every architecture since 424
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
}


def check(result: int, what: str) -> int:
    """Return result, or raise the OSError that errno names if it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def syscall(name: str, *arguments: Any) -> int:
    """Make a system call; integers, bytes (as pointers) and None may be passed. Raises OSError."""
    args = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return check(_syscall(ctypes.c_long(NUMBERS[name]), *args), name)


def function(name: str, *types: Any) -> Callable[..., int]:
    """A system call as a function of arguments of these ctypes types, which raises OSError.

    What is called a hundred times for a container: three times as fast as syscall().
    """
    prototype = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long, *types, use_errno=True)
    call, number = prototype(("syscall", lib)), NUMBERS[name]

    def invoke(*arguments: Any) -> int:
        result: int = call(number, *arguments)
        return result if result >= 0 else check(result, name)

    return invoke


_syscall = lib.syscall
_syscall.restype = ctypes.c_long
