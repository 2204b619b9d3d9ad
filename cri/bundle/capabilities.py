"""Capability names and masks. Pure. Source: include/uapi/linux/capability.h."""

from __future__ import annotations

from collections.abc import Sequence

NAMES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
)
NUMBERS = {name: number for number, name in enumerate(NAMES)}
ALL = (1 << len(NAMES)) - 1


def mask(names: Sequence[str]) -> int:
    """The mask of names, with or without CAP_, in any case; ALL is every one. Raises ValueError."""
    result = 0
    for name in names:
        plain = name.upper().removeprefix("CAP_")
        if plain == "ALL":
            result |= ALL
        elif plain in NUMBERS:
            result |= 1 << NUMBERS[plain]
        else:
            raise ValueError(f"cannot use capability {name!r}: unknown")
    return result


# what every container engine grants by default
DEFAULT = mask(
    (
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    )
)


def change(base: int, add: Sequence[str], drop: Sequence[str]) -> int:
    """Apply CRI's lists: ALL first, then single names; a name in both is added. Raises ValueError."""
    if "ALL" in (name.upper().removeprefix("CAP_") for name in drop):
        base = 0
    else:
        base &= ~mask(drop)
    return base | mask(add)
