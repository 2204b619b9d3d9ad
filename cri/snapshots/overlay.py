"""The writable directories of containers over the read-only layers of their images."""

import dataclasses
from pathlib import Path

from cri.images.image import Image
from cri.images.service import ImageService


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
        raise NotImplementedError

    def prepare(self, container_id: str, image: Image, *, owner: int = 0) -> Rootfs:
        """Make (or find again) a container's directories and hold its image's layers until remove().

        owner: host uid and gid of the container's root, for Pods with a user namespace.
        Raises ImageError NOT_FOUND when a layer is gone, ValueError on an unsafe container_id.
        """
        raise NotImplementedError

    def view(self, key: str, image: Image) -> tuple[Path, ...]:
        """Hold an image's layers for a read-only mount; returns the lowers, topmost first."""
        raise NotImplementedError

    def remove(self, container_id: str) -> None:
        """Delete a container's directories and release its layers. Idempotent; the overlay is unmounted."""
        raise NotImplementedError

    def usage(self, container_id: str) -> Usage:
        raise NotImplementedError

    def keys(self) -> list[str]:
        """Return the ids that hold directories, for reconciliation at start."""
        raise NotImplementedError


def mount_options(rootfs: Rootfs) -> str:
    """Render overlayfs options for mount(2): `lowerdir=…,upperdir=…,workdir=…`. Pure."""
    raise NotImplementedError
