"""Unpacked layers by chain ID, each made once and shared by all images and containers that have it.

    layers/<hex of chain ID>/fs                   the tree, as overlayfs wants a lower directory
    layers/<hex of chain ID>/size                 bytes and inodes that it takes
    layers/<hex of chain ID>/unsynced-<boot ID>   not known to be on disk; wiped after another boot
    tmp/                                          trees in the making and in removal; emptied at start

A tree is written below tmp/ and renamed into place, with a mark; a flush in the background removes that.
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
from cri.images.flush import Flusher
from cri.images.image import Progress
from cri.images.manifest import Descriptor

_UNSYNCED = "unsynced-"
_WAIT_S = 0.5  # how soon a waiting pull notices that its client gave up


@dataclasses.dataclass(frozen=True, slots=True)
class Layer:
    """A layer that an image needs. blob: where its content comes from."""

    chain_id: str
    diff_id: str
    blob: Descriptor


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """What one layer, or several, take on disk."""

    bytes: int
    inodes: int


class Source(Protocol):
    """Where the contents of layers come from: a registry or an archive."""

    def prefetch(self, blobs: Sequence[Descriptor]) -> None:
        """Start fetching, if that helps; these will be opened in this order."""

    def open(self, blob: Descriptor) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open one blob; leaving the context without an error vouches for its digest. Raises ImageError."""


class Layers:
    """The layer store below root. Thread-safe.

    boot_id: of this boot of the host; layers marked by another one may have lost contents, and are deleted.
    """

    def __init__(self, root: Path, limits: extract.Limits, boot_id: str, flusher: Flusher) -> None:
        self._root = root / "layers"
        self._tmp = root / "tmp"
        self._limits = limits
        self._mark = _UNSYNCED + boot_id
        self._flusher = flusher
        self._unpacker = unpack.Unpacker()
        self._lock = threading.Lock()
        self._in_flight: dict[str, threading.Event] = {}
        for directory in (self._root, self._tmp):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._recover()

    def path(self, chain_id: str) -> Path:
        return self._home(chain_id) / "fs"

    def has(self, chain_id: str) -> bool:
        return self._home(chain_id).is_dir()

    def usage(self, chain_id: str) -> Usage:
        """Return what a layer takes. Raises FileNotFoundError when it is gone."""
        size, _, inodes = (self._home(chain_id) / "size").read_text().partition(" ")
        return Usage(int(size), int(inodes or 1))

    def all(self) -> list[str]:
        return ["sha256:" + name for name in os.listdir(self._root)]

    def ensure(self, layers: Sequence[Layer], source: Source, report: Callable[[Progress], None]) -> None:
        """Make all layers of one image present, base first; what another pull is making is waited for.

        Who waits, waits for a layer below all that it has still to make. So no circle of waiting is possible.
        """
        mine = self._claim(layers)
        try:
            if mine:
                source.prefetch([layer.blob for layer in mine])
            with self._unpacker.running() if mine else contextlib.nullcontext():
                for index, layer in enumerate(layers):
                    while not self.has(layer.chain_id):
                        if layer not in mine and not self._take_over(layer, mine, report):
                            continue
                        self._make(
                            layer, [lower.chain_id for lower in reversed(layers[:index])], source, report
                        )
                    self._release([layer] if layer in mine else [])
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

    def _recover(self) -> None:
        """Delete what a crash of the host may have damaged; flush what only this process forgot."""
        for name in os.listdir(self._root):
            home = self._root / name
            marks = [entry for entry in os.listdir(home) if entry.startswith(_UNSYNCED)]
            if any(mark != self._mark for mark in marks) or not _is_number(home / "size"):
                self.discard(["sha256:" + name])()
            elif marks:
                self._flush(home)

    def _flush(self, home: Path) -> None:
        self._flusher.after(lambda: (home / self._mark).unlink(missing_ok=True))

    def _claim(self, layers: Sequence[Layer]) -> list[Layer]:
        """Take what is neither present nor in the making."""
        with self._lock:
            mine = [
                lay for lay in layers if lay.chain_id not in self._in_flight and not self.has(lay.chain_id)
            ]
            self._in_flight.update({layer.chain_id: threading.Event() for layer in mine})
        return mine

    def _release(self, mine: Sequence[Layer]) -> None:
        with self._lock:
            for layer in mine:
                event = self._in_flight.pop(layer.chain_id, None)
                if event is not None:
                    event.set()

    def _take_over(self, layer: Layer, mine: list[Layer], report: Callable[[Progress], None]) -> bool:
        """Claim a layer that nobody makes any more; else wait a while. Tells whether it is claimed."""
        taken = self._claim([layer])
        mine.extend(taken)
        if taken:
            return True
        event = self._in_flight.get(layer.chain_id)
        if event is not None and not event.wait(_WAIT_S):
            report(Progress("waiting", layer.blob.digest, 0, layer.blob.size))
        return False

    def _make(
        self,
        layer: Layer,
        lowers: Sequence[str],
        source: Source,
        report: Callable[[Progress], None],
    ) -> None:
        """Unpack a layer and put it into place. lowers: chain IDs, topmost first."""
        blob = layer.blob
        with _scratch(self._tmp) as home, self._unpacker.running():
            tree = home / "fs"
            tree.mkdir()
            tree.chmod(0o755)
            with source.open(blob) as stream:
                report(Progress("unpacking", blob.digest, 0, blob.size))
                done = self._unpacker.unpack(
                    stream, tree, [self.path(lower) for lower in lowers], self._limits
                )
            if done.diff_id != layer.diff_id:
                raise errors.corrupt(f"cannot unpack layer {blob.digest}: diff ID is {done.diff_id}")
            (home / "size").write_text(f"{done.bytes} {done.inodes}")
            (home / self._mark).touch()
            os.rename(home, self._home(layer.chain_id))
        self._flush(self._home(layer.chain_id))
        report(Progress("done", blob.digest, blob.size, blob.size))


def _is_number(size: Path) -> bool:
    try:
        return all(part.isdigit() for part in size.read_text().split(" "))
    except (FileNotFoundError, UnicodeDecodeError):
        return False


@contextlib.contextmanager
def _scratch(tmp: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="pull-", dir=tmp))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
