"""Pseudo-terminals of a devpts instance that may be hostile: everything is checked on descriptors.

Source: include/uapi/asm-generic/ioctls.h; ioctl_tty(2).
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct

from cri.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

_TIOCSPTLCK, _TIOCGPTPEER, _TIOCSCTTY, _TIOCSWINSZ = 0x40045431, 0x5441, 0x540E, 0x5414
_PTMX = os.makedev(5, 2)


def open_pair(devpts_fd: int) -> tuple[int, int]:
    """Open a new terminal of the devpts mounted at devpts_fd: (master, peer), both close-on-exec.

    Raises OSError; ENODEV if ptmx there is not the real one.
    """
    master = openat2(
        devpts_fd, "ptmx", os.O_RDWR | os.O_NOCTTY, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
    )
    found = os.fstat(master)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _PTMX:
        os.close(master)
        raise OSError(19, "not a terminal multiplexer", "ptmx")
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("=i", 0))
    return master, fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def take_control(peer: int) -> None:
    """Make peer the controlling terminal of the calling session leader."""
    fcntl.ioctl(peer, _TIOCSCTTY, 0)


def set_size(fd: int, rows: int, columns: int) -> None:
    """Set a terminal's size; its foreground processes get SIGWINCH."""
    fcntl.ioctl(fd, _TIOCSWINSZ, struct.pack("=HHHH", rows & 0xFFFF, columns & 0xFFFF, 0, 0))
