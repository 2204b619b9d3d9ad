"""Documents by digest: manifests, indexes and configs. Layers are not kept compressed (README, Why)."""

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
        """Store a document, durably; returns its digest."""
        digest = manifest.digest_of(data)
        if not self.has(digest):
            write_durably(self.path(digest), data, self._tmp)
        return digest

    def keep_only(self, digests: Iterable[str]) -> None:
        kept = {digest.removeprefix("sha256:") for digest in digests}
        for name in os.listdir(self._root):
            if name not in kept:
                (self._root / name).unlink(missing_ok=True)


def write_durably(path: Path, data: bytes, tmp: Path) -> None:
    """Replace a file in one step that survives a crash, by way of a temporary one on the same filesystem."""
    fd, name = tempfile.mkstemp(dir=tmp)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
