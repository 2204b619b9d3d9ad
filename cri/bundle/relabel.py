"""Labels a volume's files for a container (CRI Mount.selinux_relabel): what lies below one path only.

No link is followed and no mount point entered, so that neither leads out; each file is opened below the top.
Source: go-selinux Chcon; openat2(2).
"""

from __future__ import annotations

import errno
import os
import stat

from cri.linux import labels
from cri.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2

# The host's own: with a container's label on them the host would stop working. Source: go-selinux.
_TOP = (
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "media",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "srv",
)
_DEEPER = ("etc/passwd", "etc/pki", "etc/shadow", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin")
_REFUSED = frozenset(
    f"/{path}" for path in ("", *_TOP, *_DEEPER, "sys", "tmp", "usr", "var", "var/lib", "var/log")
)
_BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
_FLAGS = os.O_PATH | os.O_NOFOLLOW


class RelabelError(ValueError):
    """A path must not be relabelled; the message says why."""


def tree(path: str, context: str) -> None:
    """Label path and all below it, the path itself last. Blocks: one call or two for each file.

    path may have links of the host's in it; made if missing, as a mount's source is. Files that go away
    meanwhile are left. Raises RelabelError, OSError.
    """
    real = os.path.realpath(path)
    if refusal := check(real):
        raise RelabelError(refusal)
    try:
        top = openat2(-100, real, _FLAGS, resolve=RESOLVE_NO_SYMLINKS)
    except FileNotFoundError:
        os.makedirs(real, 0o755)
        top = openat2(-100, real, _FLAGS, resolve=RESOLVE_NO_SYMLINKS)
    try:
        if stat.S_ISDIR(os.fstat(top).st_mode):
            _label_below(top, context)
        labels.label_file(top, context)
    except OSError as error:
        raise OSError(error.errno, f"cannot relabel: {error.strerror}", path) from error
    finally:
        os.close(top)


def check(path: str) -> str:
    """Say why a path, without links, must not be relabelled; "" if it may be. Pure."""
    if os.path.normpath(path) in _REFUSED:
        return f"cannot relabel {path}: it is the host's own"
    return ""


def _label_below(top: int, context: str) -> None:
    """Go by paths below top: neither a deep tree nor a long listing may cost descriptors."""
    todo = [""]
    while todo:
        directory = todo.pop()
        for name in _names(top, directory):
            place = f"{directory}/{name}" if directory else name
            try:
                fd = openat2(top, place, _FLAGS, resolve=_BELOW)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno == errno.EXDEV:  # a mount point: another volume's
                    continue
                raise
            try:
                labels.label_file(fd, context)
                if stat.S_ISDIR(os.fstat(fd).st_mode):
                    todo.append(place)
            finally:
                os.close(fd)


def _names(top: int, directory: str) -> list[str]:
    try:
        fd = openat2(top, directory or ".", os.O_RDONLY | os.O_DIRECTORY, resolve=_BELOW)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)
