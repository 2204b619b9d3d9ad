"""subPath mounts without races: opened link by link below the volume, then bound by descriptor. Blocking.

Links inside the volume are followed (the atomic writer makes some); a path that leaves it fails. What was
opened is bound to a private place by its descriptor, so nothing swapped afterwards is ever followed.
CVE-2017-1002101, CVE-2021-25741.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cri.linux import mount, openat2
from nanokube.kubelet.volumes.errors import VolumeFault

_BENEATH = openat2.RESOLVE_BENEATH | openat2.RESOLVE_NO_MAGICLINKS
_RETRIES = 8  # RESOLVE_BENEATH answers EAGAIN when a rename raced with it


def check(sub_path: str) -> None:
    """Refuse paths that are absolute or climb. Raises VolumeFault."""
    if sub_path.startswith("/"):
        raise VolumeFault(f"subPath {sub_path!r} must not be an absolute path")
    if ".." in sub_path.split("/"):
        raise VolumeFault(f"subPath {sub_path!r} must not contain '..'")


def bind(volume: Path, sub_path: str, place: Path) -> None:
    """Bind volume/sub_path (made as a directory when missing) to place. Raises VolumeFault, OSError."""
    check(sub_path)
    with _opened(volume, sub_path) as opened:
        is_directory = stat.S_ISDIR(os.fstat(opened).st_mode)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        if is_directory:
            place.mkdir(exist_ok=True, mode=0o750)
        else:
            place.touch(mode=0o640)
        tree = mount.clone_tree(opened)
        try:
            target = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                mount.attach(tree, target)
            finally:
                os.close(target)
        finally:
            os.close(tree)


def is_current(volume: Path, sub_path: str, place: Path) -> bool:
    """Tell whether place is bound to what volume/sub_path is now; what is there no more stays bound."""
    root = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        opened = _open(root, sub_path)
    except OSError:
        return True
    finally:
        os.close(root)
    try:
        return os.path.samestat(os.fstat(opened), os.stat(place))
    finally:
        os.close(opened)


@contextlib.contextmanager
def _opened(volume: Path, sub_path: str) -> Iterator[int]:
    root = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            opened = _open(root, sub_path)
        except FileNotFoundError:
            _make(root, sub_path)
            opened = _open(root, sub_path)
        try:
            yield opened
        finally:
            os.close(opened)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.ELOOP, errno.ENOTDIR):
            raise VolumeFault(f"cannot use subPath {sub_path!r}: it leaves the volume") from error
        raise
    finally:
        os.close(root)


def _open(root: int, path: str) -> int:
    for _ in range(_RETRIES):
        try:
            return openat2.openat2(root, path or ".", os.O_PATH, resolve=_BENEATH)
        except BlockingIOError:
            continue
    raise VolumeFault(f"cannot open subPath {path!r}: it keeps changing")


def _make(root: int, sub_path: str) -> None:
    """Make missing directories, one at a time, each below the one opened before."""
    fd = os.dup(root)
    try:
        walked: list[str] = []
        for part in [part for part in sub_path.split("/") if part not in ("", ".")]:
            walked.append(part)
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, mode=0o750, dir_fd=fd)
                _adopt_mode(fd, part)
            following = _open(root, "/".join(walked))
            os.close(fd)
            fd = following
    finally:
        os.close(fd)


def _adopt_mode(parent: int, name: str) -> None:
    """Give a new directory its parent's permissions and owner, so that the Pod's users may write to it."""
    info = os.fstat(parent)
    opened = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{opened}", info.st_mode & 0o7777)
        os.chown(f"/proc/self/fd/{opened}", info.st_uid, info.st_gid)
    finally:
        os.close(opened)


def release(place: Path) -> None:
    """Unmount and remove a bound place."""
    with contextlib.suppress(OSError):
        mount.umount(str(place), mount.MNT_DETACH)
    with contextlib.suppress(OSError):
        if place.is_dir():
            place.rmdir()
        else:
            place.unlink()
