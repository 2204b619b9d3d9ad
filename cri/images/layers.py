"""Unpacked layers by chain ID, each made once and shared by all images and containers that have it.

    layers/<hex of chain ID>/fs     the tree, as overlayfs wants a lower directory
    layers/<hex of chain ID>/size   bytes of its contents
    tmp/                            trees in the making and in removal; emptied at start

A tree is written below tmp/; the filesystem is synced once for all trees of a pull; a rename commits each.
"""

import contextlib
import dataclasses
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from cri.images import errors, extract, unpack
from cri.images.image import Progress
from cri.images.manifest import Descriptor
from cri.linux import syncfs


@dataclasses.dataclass(frozen=True, slots=True)
class Layer:
    """A layer that an image needs. blob: where its content comes from."""

    chain_id: str
    diff_id: str
    blob: Descriptor


class Source(Protocol):
    """Where the contents of layers come from: a registry or an archive."""

    def prefetch(self, blobs: Sequence[Descriptor]) -> None:
        """Start fetching, if that helps; these will be opened in this order."""

    def open(self, blob: Descriptor) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open one blob. Raises ImageError."""


class Layers:
    """The layer store below root. Thread-safe."""

    def __init__(self, root: Path, limits: extract.Limits) -> None:
        self._root = root / "layers"
        self._tmp = root / "tmp"
        self._limits = limits
        self._lock = threading.Lock()
        self._in_flight: dict[str, threading.Event] = {}
        for directory in (self._root, self._tmp):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, chain_id: str) -> Path:
        return self._home(chain_id) / "fs"

    def has(self, chain_id: str) -> bool:
        return self._home(chain_id).is_dir()

    def size(self, chain_id: str) -> int:
        return int((self._home(chain_id) / "size").read_text())

    def all(self) -> list[str]:
        return ["sha256:" + name for name in os.listdir(self._root)]

    def ensure(self, layers: Sequence[Layer], source: Source, report: Callable[[Progress], None]) -> None:
        """Make all layers of one image present; what another pull is making is waited for.

        Claims are taken at once for all missing layers, and chain IDs include their parents. So whoever
        waits, waits for layers below its own, claimed earlier: no circle is possible.
        """
        while missing := [layer for layer in layers if not self.has(layer.chain_id)]:
            mine, others = self._claim(missing)
            try:
                source.prefetch([layer.blob for layer in mine])
                for other in others:
                    other.wait()
                if all(self.has(lay.chain_id) for lay in missing if lay not in mine):
                    self._make(layers, mine, source, report)
            finally:
                self._release(mine)

    def discard(self, chain_ids: Sequence[str]) -> Callable[[], None]:
        """Take layers out of the store; the returned function deletes their trees, which takes longer."""
        graves = []
        for chain_id in chain_ids:
            grave = Path(tempfile.mkdtemp(prefix="gone-", dir=self._tmp))
            with contextlib.suppress(FileNotFoundError):
                os.rename(self._home(chain_id), grave / "layer")
            graves.append(grave)

        def bury() -> None:
            for grave in graves:
                shutil.rmtree(grave, ignore_errors=True)

        return bury

    def _home(self, chain_id: str) -> Path:
        return self._root / chain_id.removeprefix("sha256:")

    def _claim(self, missing: Sequence[Layer]) -> tuple[list[Layer], list[threading.Event]]:
        mine, others = [], []
        with self._lock:
            for layer in missing:
                event = self._in_flight.get(layer.chain_id)
                if event is not None:
                    others.append(event)
                elif not self.has(layer.chain_id) and layer not in mine:
                    mine.append(layer)
            self._in_flight.update({layer.chain_id: threading.Event() for layer in mine})
        return mine, others

    def _release(self, mine: Sequence[Layer]) -> None:
        with self._lock:
            for layer in mine:
                self._in_flight.pop(layer.chain_id).set()

    def _make(
        self,
        layers: Sequence[Layer],
        mine: Sequence[Layer],
        source: Source,
        report: Callable[[Progress], None],
    ) -> None:
        trees: dict[str, Path] = {}
        with _scratch(self._tmp) as scratch:
            for index, layer in enumerate(layers):
                if layer in mine and layer.chain_id not in trees:
                    lowers = [
                        trees.get(lower.chain_id, self._home(lower.chain_id)) / "fs"
                        for lower in reversed(layers[:index])
                    ]
                    trees[layer.chain_id] = scratch / str(index)
                    self._unpack(layer, trees[layer.chain_id], lowers, source, report)
            self._commit(trees)

    def _unpack(
        self,
        layer: Layer,
        home: Path,
        lowers: Sequence[Path],
        source: Source,
        report: Callable[[Progress], None],
    ) -> None:
        (home / "fs").mkdir(parents=True)
        (home / "fs").chmod(0o755)
        with source.open(layer.blob) as stream:
            report(Progress("unpacking", layer.blob.digest, 0, layer.blob.size))
            done = unpack.unpack(stream, home / "fs", lowers, self._limits)
        if done.diff_id != layer.diff_id:
            raise errors.corrupt(f"cannot unpack layer {layer.blob.digest}: diff ID is {done.diff_id}")
        (home / "size").write_text(str(done.bytes))
        report(Progress("done", layer.blob.digest, layer.blob.size, layer.blob.size))

    def _commit(self, trees: dict[str, Path]) -> None:
        fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            syncfs.syncfs(fd)
            for chain_id, tree in trees.items():
                os.rename(tree, self._home(chain_id))
            os.fsync(fd)
        finally:
            os.close(fd)


@contextlib.contextmanager
def _scratch(tmp: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="pull-", dir=tmp))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
