"""The writable directories of containers over the read-only layers of their images.

<container id>/layers.json   chain IDs that the container holds, written before anything else
<container id>/upper, work   what overlayfs writes to
.places                      a lowest layer for all: where every container has mounts
"""

import contextlib
import dataclasses
import json
import os
import re
import stat
from pathlib import Path

from cri import failpoint
from cri.images.image import Image
from cri.images.service import ImageService
from cri.snapshots.graves import Graves

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_PLACES = ("dev", "proc", "sys", "etc"), ("etc/hostname", "etc/hosts", "etc/resolv.conf")
_BLOCK_BYTES = 512  # st_blocks' unit, inode(7)


@dataclasses.dataclass(frozen=True, slots=True)
class Rootfs:
    """What overlayfs needs. lowers: topmost first, as `lowerdir=` and `lowerdir+` want them."""

    lowers: tuple[Path, ...]
    upper: Path
    work: Path


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """Disk use of a container's upper directory."""

    bytes: int
    inodes: int


class Snapshots:
    """Upper and work directories below root/<container id>, and which layers each container holds."""

    def __init__(self, root: Path, images: ImageService) -> None:
        self._root = root
        self._images = images
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.places = root / ".places"
        _make_places(self.places)
        self._graves = Graves(root)
        images.add_user(self._chain_ids_in_use)

    def prepare(self, container_id: str, image: Image, *, owner: tuple[int, int] = (0, 0)) -> Rootfs:
        """Make (or find again) a container's directories and hold its image's layers until remove().

        owner: the host's ids of the container's root, for Pods with a user namespace.
        Raises ImageError NOT_FOUND when a layer is gone, ValueError on an unsafe container_id.
        """
        lowers = self.view(container_id, image)
        failpoint.hit("container.layers_held")
        home = self._home(container_id)
        for name, mode in (("upper", 0o755), ("work", 0o700)):
            with contextlib.suppress(FileExistsError):
                path = f"{home}/{name}"
                os.mkdir(path, mode)
                os.chmod(path, mode)
                if owner != (0, 0):
                    os.chown(path, *owner)
        return Rootfs(lowers, home / "upper", home / "work")

    def view(self, key: str, image: Image) -> tuple[Path, ...]:
        """Hold an image's layers for a read-only mount; returns the lowers, topmost first.

        An image without layers has one lower all the same, an empty directory: overlayfs wants one.
        """
        home = self._home(key)
        with self._images.checked_out(image):
            home.mkdir(mode=0o700, exist_ok=True)
            with open(f"{home}/layers.json.new", "wb", buffering=0) as file:
                file.write(json.dumps(image.layers).encode())
            os.rename(f"{home}/layers.json.new", f"{home}/layers.json")
        if image.layers:
            return tuple([self._images.layer_path(chain_id) for chain_id in reversed(image.layers)])
        (home / "empty").mkdir(mode=0o755, exist_ok=True)
        return (home / "empty",)

    def remove(self, container_id: str) -> None:
        """Release a container's layers and delete its directories. Idempotent; the overlay is unmounted.

        What the container has written is deleted after this returns.
        """
        self._graves.bury(self._home(container_id))

    def usage(self, container_id: str) -> Usage:
        """Measure the upper directory; zero for a container that has none."""
        total, inodes = 0, 0
        upper = self._home(container_id) / "upper"
        if not upper.is_dir():
            return Usage(0, 0)
        for _, directories, files, fd in os.fwalk(upper):
            inodes += 1 + len(files)
            for name in (*files, *directories):
                with contextlib.suppress(FileNotFoundError):
                    status = os.lstat(name, dir_fd=fd)
                    inodes += stat.S_ISLNK(status.st_mode) and name in directories
                    total += status.st_blocks * _BLOCK_BYTES
        return Usage(total, inodes)

    def keys(self) -> list[str]:
        """Return the ids that hold directories, for reconciliation at start."""
        return [name for name in os.listdir(self._root) if not name.startswith(".")]

    def _home(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"cannot use {key!r} as the name of a container's directory")
        return self._root / key

    def _chain_ids_in_use(self) -> set[str]:
        used: set[str] = set()
        for key in self.keys():
            with contextlib.suppress(FileNotFoundError):
                used.update(json.loads((self._root / key / "layers.json").read_text()))
        return used


def _make_places(root: Path) -> None:
    directories, files = _PLACES
    for path in (root, *(root / name for name in directories)):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    for name in files:
        (root / name).touch()
        (root / name).chmod(0o644)
