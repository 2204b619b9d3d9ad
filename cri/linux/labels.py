"""What the calling process will be confined by from its next execve(2) on: AppArmor profile, SELinux label.

Written while the host's procfs is still at /proc, never into a container's (CVE-2025-52881).
Source: fs/proc/base.c (attr), security/apparmor/lsm.c, security/selinux/hooks.c.
"""

from __future__ import annotations

import os


def apply_at_exec(apparmor: str, selinux: str) -> None:
    """Set both, "" = none. Raises OSError; ENOENT for a profile that is not loaded."""
    if apparmor:
        _write("/proc/self/attr/apparmor/exec", f"exec {apparmor}", f"AppArmor profile {apparmor!r}")
    if selinux:
        _write("/proc/self/attr/exec", selinux, f"SELinux label {selinux!r}")


def current(pid: int, kind: str) -> str:
    """What a process is confined by, as /proc/PID/attr tells it; "" if the kernel does not say."""
    path = f"/proc/{pid}/attr/apparmor/current" if kind == "apparmor" else f"/proc/{pid}/attr/current"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 4096).rstrip(b"\0\n").decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def _write(path: str, value: str, what: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise OSError(error.errno, f"cannot apply {what}: {error.strerror}") from error
