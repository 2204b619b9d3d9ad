"""The image store behind CRI's ImageService: pull, import, look up, remove. Blocking and thread-safe."""

import builtins
import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from cri.images.image import Auth, FilesystemInfo, Image, ProgressCallback


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """How the image store behaves.

    certs_d: directory of `<host>/hosts.toml` (containerd's form) naming mirrors, CAs and insecure hosts.
    insecure: registry hosts (`host` or `host:port`) reached by plain HTTP; loopback addresses always may be.
    pinned: references that removal by the kubelet's garbage collection must spare.
    """

    certs_d: Path | None = None
    insecure: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    layer_bytes_max: int = 32 << 30
    layer_entries_max: int = 2_000_000


class ImageService:
    """All images of a node, below root: `images.json`, `blobs/`, `layers/`, `tmp/`."""

    def __init__(self, root: Path, config: Config = Config()) -> None:
        raise NotImplementedError

    def pull(
        self, reference: str, auth: Auth | None = None, progress: ProgressCallback | None = None
    ) -> Image:
        """Fetch an image unless all of it is present, and tag it.

        An exception raised by progress aborts the pull. Raises ImageError.
        """
        raise NotImplementedError

    def status(self, reference: str) -> Image | None:
        """Find an image by tag, digest reference, ID, or unique ID prefix."""
        raise NotImplementedError

    def list(self, reference: str = "") -> builtins.list[Image]:
        """Return all images, or the one that reference names."""
        raise NotImplementedError

    def remove(self, reference: str) -> None:
        """Remove the image with all its tags; nothing happens when there is none."""
        raise NotImplementedError

    def import_archive(self, path: Path, progress: ProgressCallback | None = None) -> builtins.list[Image]:
        """Add the images of an OCI layout or `docker save` archive (tar, gzip or zstd). Raises ImageError."""
        raise NotImplementedError

    def fs_info(self) -> FilesystemInfo:
        raise NotImplementedError

    def layer_path(self, chain_id: str) -> Path:
        """Return the directory that holds one unpacked layer."""
        raise NotImplementedError

    def add_user(self, chain_ids_in_use: Callable[[], Iterable[str]]) -> None:
        """Register who may hold layers: they are spared by removal."""
        raise NotImplementedError
