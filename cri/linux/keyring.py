"""Kernel keyrings: keyctl(2). Source: include/uapi/linux/keyctl.h; session-keyring(7)."""

from __future__ import annotations

import errno

from cri.linux.libc import syscall

_JOIN_SESSION_KEYRING = 1


def leave_session() -> None:
    """Give the calling process an empty session keyring, so that it holds no key of who started it."""
    try:
        syscall("keyctl", _JOIN_SESSION_KEYRING, None, 0, 0, 0)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EDQUOT):  # a kernel without keys; too many keyrings
            raise
