"""The program of a shared PID namespace's first process: waits for SIGTERM or SIGINT, holds nothing. Pure.

It replaces the copy of the supervisor that made the namespace: whoever may trace in there (CAP_SYS_PTRACE)
finds two hundred bytes, not the environment of every container of the node. Children are reaped by the
kernel, as SIGCHLD is ignored. Source: elf(5); syscalls of arch/x86/entry/syscalls/syscall_64.tbl.
"""

from __future__ import annotations

import struct

_BASE = 0x400000
_HEADERS = 64 + 2 * 56
_X86_64 = bytes.fromhex(
    "b89d000000"  # mov eax, 157            prctl(
    "bf0f000000"  # mov edi, 15               PR_SET_NAME,
    "488d3527000000"  # lea rsi, [rip+name]   "pause")
    "0f05"  # syscall
    # again:
    "488d3d26000000"  # lea rdi, [rip+set]    rt_sigtimedwait(set,
    "31f6"  # xor esi, esi                      no details,
    "31d2"  # xor edx, edx                      no timeout,
    "41ba08000000"  # mov r10d, 8               size of set)
    "b880000000"  # mov eax, 128
    "0f05"  # syscall
    "85c0"  # test eax, eax
    "7ee4"  # jle again                       interrupted
    "31ff"  # xor edi, edi                    exit(0)
    "b83c000000"  # mov eax, 60
    "0f05"  # syscall
    "7061757365000000"  # name: "pause"
    "0240000000000000"  # set: SIGINT, SIGTERM
)
_MACHINES = {"x86_64": (62, _X86_64)}  # e_machine, code


def program(machine: str) -> bytes:
    """An ELF executable; b"" for a machine (os.uname) we have no code for.

    The caller blocks SIGINT and SIGTERM and ignores SIGCHLD before it executes it.
    """
    if machine not in _MACHINES:
        return b""
    number, code = _MACHINES[machine]
    size = _HEADERS + len(code)
    header = struct.pack("<4sBBBB8x", b"\x7fELF", 2, 1, 1, 0)
    header += struct.pack("<HHIQQQIHHHHHH", 2, number, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)  # readable, executable
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)  # not executable
    return header + load + stack + code
