"""The AppArmor profile that the calling process will be confined by from its next execve(2) on.

Written while the host's procfs is still at /proc, never into a container's (CVE-2025-52881).
Source: fs/proc/base.c (attr), security/apparmor/lsm.c.
"""

from __future__ import annotations

import os


def apply_at_exec(profile: str) -> None:
    """Set it, "" = none. Raises OSError; ENOENT for a profile that is not loaded."""
    if not profile:
        return
    try:
        fd = os.open("/proc/self/attr/apparmor/exec", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, f"exec {profile}".encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise OSError(error.errno, f"cannot apply AppArmor profile {profile!r}: {error.strerror}") from error


def current(pid: int) -> str:
    """What confines a process, such as "nanokube-default (enforce)"; "" if the kernel does not say."""
    try:
        fd = os.open(f"/proc/{pid}/attr/apparmor/current", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 4096).rstrip(b"\0\n").decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)
