"""Documents by digest: manifests, indexes and configs. Layers are not kept compressed (README, Why)."""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cri.images import errors, manifest


class Blobs:
    """The blob store below root. A blob that exists is whole: it was renamed into place."""

    def __init__(self, root: Path) -> None:
        self._root = root / "blobs" / "sha256"
        self._tmp = root / "tmp"
        for directory in (self._root, self._tmp):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        return self._root / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        return self.path(digest).exists()

    def read(self, digest: str) -> bytes:
        """Return a document. Raises ImageError when it is missing or was changed."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError as err:
            raise errors.not_found(f"cannot read blob {digest}: not found") from err
        if manifest.digest_of(data) != digest:
            raise errors.corrupt(f"cannot read blob {digest}: content does not match")
        return data

    def put(self, data: bytes) -> str:
        """Store a document; returns its digest. One that a crash of the host damages is dropped at start."""
        digest = manifest.digest_of(data)
        if not self.has(digest):
            replace(self.path(digest), data, self._tmp)
        return digest

    def drop_damaged(self) -> None:
        """Delete what is not what its name says."""
        for path in self._root.iterdir():
            if manifest.digest_of(path.read_bytes()) != "sha256:" + path.name:
                path.unlink()

    def usage(self) -> tuple[int, int]:
        """Return bytes and files on disk."""
        sizes = []
        for path in self._root.iterdir():
            with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                sizes.append(path.stat().st_blocks * 512)
        return sum(sizes), len(sizes)

    def keep_only(self, digests: Iterable[str]) -> None:
        kept = {digest.removeprefix("sha256:") for digest in digests}
        for name in os.listdir(self._root):
            if name not in kept:
                (self._root / name).unlink(missing_ok=True)


def replace(path: Path, data: bytes, tmp: Path, *, is_durable: bool = False) -> None:
    """Replace a file in one step, by way of a temporary one on the same filesystem.

    is_durable: its contents are on disk before its name is: a crash of the host leaves the old or the new.
    """
    fd, name = tempfile.mkstemp(dir=tmp)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            if is_durable:
                file.flush()
                os.fsync(fd)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
