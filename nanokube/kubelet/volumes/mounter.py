"""The mounts a kubelet makes, behind a seam so that tests need no privileges. Blocking."""

import contextlib
import os
import threading
from pathlib import Path
from typing import Protocol

from cri.linux import mount
from nanokube.kubelet.volumes import filesystem, subpath


class Mounter(Protocol):
    """What changes the node's mount table."""

    def tmpfs(self, path: Path, options: str) -> None:
        """Mount a tmpfs on a directory, unless one is there."""
        ...

    def bind(self, source: Path, place: Path, flags: int) -> None:
        """Bind a directory to another, with flags (MS_*) of its own."""
        ...

    def device(self, source: Path, place: Path, fstype: str, flags: int) -> None:
        """Mount the filesystem of a block device, after making one (fstype) on an empty one."""
        ...

    def copy(self, source: Path, place: Path) -> None:
        """Mount on a directory what is mounted on another, with the same flags."""
        ...

    def bind_sub_path(self, volume: Path, sub_path: str, place: Path) -> None:
        """Bind what is at sub_path inside a volume to place."""
        ...

    def mounts_below(self, path: Path) -> list[Path]:
        """List mount points at or below path, innermost first."""
        ...

    def unmount(self, path: Path) -> None:
        """Detach a mount."""
        ...


class LinuxMounter:
    """The real one."""

    def __init__(self) -> None:
        self._formatting = threading.Lock()

    def tmpfs(self, path: Path, options: str) -> None:
        if not path.is_mount():
            mount.mount("tmpfs", str(path), "tmpfs", mount.MS_NOSUID | mount.MS_NODEV, options)

    def bind(self, source: Path, place: Path, flags: int) -> None:
        mount.mount(str(source), str(place), "", mount.MS_BIND)
        self._restrict(place, flags)

    def device(self, source: Path, place: Path, fstype: str, flags: int) -> None:
        with self._formatting:
            if not (found := filesystem.filesystem_of(source)):
                filesystem.make_filesystem(source, fstype)
        # Mounted for writing first: all mounts of one device share what it is mounted for.
        mount.mount(str(source), str(place), found or fstype)
        self._restrict(place, flags)

    def _restrict(self, place: Path, flags: int) -> None:
        if not flags:
            return
        try:
            mount.mount(None, str(place), None, mount.MS_BIND | mount.MS_REMOUNT | flags)
        except OSError:
            self.unmount(place)
            raise

    def copy(self, source: Path, place: Path) -> None:
        opened = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            tree = mount.clone_tree(opened, recursive=False)
        finally:
            os.close(opened)
        try:
            mount.attach_at(tree, mount.AT_FDCWD, str(place))
        finally:
            os.close(tree)

    def bind_sub_path(self, volume: Path, sub_path: str, place: Path) -> None:
        # A bind in one filesystem looks like no mount.
        if place in self.mounts_below(place):
            if subpath.is_current(volume, sub_path, place):
                return
            subpath.release(place)  # a ConfigMap changed: what was bound is a file that is gone
        subpath.bind(volume, sub_path, place)

    def mounts_below(self, path: Path) -> list[Path]:
        prefix = str(path)
        found = []
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            point = _unescaped(line.split(" ")[4])
            if point == prefix or point.startswith(prefix + "/"):
                found.append(Path(point))
        return sorted(found, key=lambda p: len(p.parts), reverse=True)

    def unmount(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            mount.umount(str(path), mount.MNT_DETACH)


def _unescaped(text: str) -> str:
    r"""Undo mountinfo's octal escapes (\040 for a space). Source: proc_pid_mountinfo(5)."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
