"""Attributes of the calling process: prctl(2), capget(2), capset(2), close_range(2).

Source: include/uapi/linux/prctl.h, capability.h, close_range.h.
"""

from __future__ import annotations

import ctypes
import struct

from cri.linux.libc import check, lib, syscall

_PDEATHSIG, _SET_DUMPABLE, _SET_KEEPCAPS, _SET_NAME = 1, 4, 8, 15
_CAPBSET_DROP, _CHILD_SUBREAPER, _NO_NEW_PRIVS, _CAP_AMBIENT = 24, 36, 38, 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
_CAPABILITY_VERSION_3 = 0x20080522
_CLOSE_RANGE_CLOEXEC = 4


_call = lib.prctl
_call.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)


def _prctl(option: int, first: int = 0, second: int = 0) -> int:
    return check(_call(option, first, second, 0, 0), "prctl")


def set_parent_death_signal(signal: int) -> None:
    """Have the kernel send signal to us when our parent thread ends."""
    _prctl(_PDEATHSIG, signal)


def set_dumpable(dumpable: bool) -> None:
    """Say whether others may trace us or read our memory; execve(2) sets it again."""
    _prctl(_SET_DUMPABLE, int(dumpable))


def set_keep_capabilities(keep: bool) -> None:
    """Keep permitted capabilities when the user id changes from 0."""
    _prctl(_SET_KEEPCAPS, int(keep))


def set_name(name: str) -> None:
    """Name the process as ps shows it; at most 15 bytes count."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    _prctl(_SET_NAME, ctypes.addressof(buffer))


def set_child_subreaper() -> None:
    """Become the parent of descendants whose parent ends."""
    _prctl(_CHILD_SUBREAPER, 1)


def set_no_new_privileges() -> None:
    """Make execve(2) grant nothing: no set-user-id, no file capabilities; for ever."""
    _prctl(_NO_NEW_PRIVS, 1)


def drop_bounding(keep: int) -> None:
    """Drop every capability outside the mask keep from the bounding set."""
    for number in range(64):
        if not keep >> number & 1:
            try:
                _prctl(_CAPBSET_DROP, number)
            except OSError:  # EINVAL: past the last one this kernel knows
                if number > 40:
                    return
                raise


def set_ambient(mask: int) -> None:
    """Replace the ambient set; its members must be permitted and inheritable."""
    _prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    for number in range(64):
        if mask >> number & 1:
            _prctl(_CAP_AMBIENT, _AMBIENT_RAISE, number)


def get_capabilities() -> tuple[int, int, int]:
    """The calling thread's (effective, permitted, inheritable) masks."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    syscall("capget", header, data)
    low = struct.unpack("=6I", data.raw)
    return low[0] | low[3] << 32, low[1] | low[4] << 32, low[2] | low[5] << 32


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """Replace the calling thread's three sets."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    masks = (effective, permitted, inheritable)
    words = [m & 0xFFFFFFFF for m in masks] + [m >> 32 for m in masks]
    syscall("capset", header, struct.pack("=6I", *words))


def close_on_exec_from(first: int) -> None:
    """Set close-on-exec on every descriptor from first on (Linux 5.11)."""
    syscall("close_range", first, 0xFFFFFFFF, _CLOSE_RANGE_CLOEXEC)
