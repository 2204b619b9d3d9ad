"""The AppArmor profile or SELinux context that the caller has from its next execve(2) on; labels of files.

Written while the host's procfs is still at /proc, never into a container's (CVE-2025-52881).
Source: fs/proc/base.c (attr), security/apparmor/lsm.c, security/selinux/hooks.c.
"""

from __future__ import annotations

import errno
import os

_XATTR = "security.selinux"


def apply_at_exec(profile: str, context: str = "") -> None:
    """Set both, "" = none. Raises OSError; ENOENT for a profile that is not loaded, EINVAL for no context.

    New keys of the caller get the context, too: its session keyring must be made after this.
    """
    if profile:
        _apply("apparmor/exec", f"exec {profile}", f"AppArmor profile {profile!r}")
    if context:
        _apply("exec", context, f"SELinux label {context!r}")
        _apply("keycreate", context, f"SELinux label {context!r} to keys")


def _apply(file: str, value: str, what: str) -> None:
    try:
        fd = os.open(f"/proc/self/attr/{file}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise OSError(error.errno, f"cannot apply {what}: {error.strerror}") from error


def current(pid: int) -> str:
    """The AppArmor profile of a process, such as "nanokube-default (enforce)"; "" if the kernel is mute."""
    return _read(f"/proc/{pid}/attr/apparmor/current")


def current_context(pid: int | str) -> str:
    """The SELinux context of a process; "" if the kernel does not say. pid: a number or "self"."""
    return _read(f"/proc/{pid}/attr/current")


def _read(path: str) -> str:
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


def of_file(path: str) -> str:
    """The SELinux context of a file or a link; "" if it has none."""
    try:
        return os.getxattr(path, _XATTR, follow_symlinks=False).rstrip(b"\0").decode(errors="replace")
    except OSError:
        return ""


def label_file(fd: int, context: str) -> None:
    """Give an open file, O_PATH or not, a SELinux context; as label_path()."""
    label_path(f"/proc/self/fd/{fd}", context)


def label_path(path: str, context: str) -> None:
    """Give a file an SELinux context, "" = leave it; one whose filesystem keeps none stays as it is.

    Raises OSError; EINVAL for what is no context.
    """
    if not context:
        return
    value = context.encode() + b"\0"
    try:
        if os.getxattr(path, _XATTR) != value:
            os.setxattr(path, _XATTR, value)
    except OSError as error:
        if error.errno == errno.ENODATA:
            os.setxattr(path, _XATTR, value)
        elif error.errno != errno.EOPNOTSUPP:
            raise
