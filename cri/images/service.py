"""The image store behind CRI's ImageService: pull, import, look up, remove. Blocking and thread-safe.

images.json   which images there are, and their names (catalog.py); .durable: as it last was on disk for sure
blobs/        their documents (blobs.py)
layers/       their unpacked layers (layers.py)
downloads/    blobs on their way (downloads.py)
tmp/          what is not finished; emptied at start
"""

import builtins
import contextlib
import dataclasses
import fnmatch
import logging
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cri import failpoint
from cri.images import archive, blobs, catalog, errors, extract, manifest, pull
from cri.images.blobs import Blobs
from cri.images.catalog import Catalog, Record
from cri.images.downloads import Downloads
from cri.images.flush import Flusher
from cri.images.image import Auth, FilesystemInfo, Image, Progress, ProgressCallback
from cri.images.layers import Layer, Layers, Source
from cri.images.manifest import Manifest, Platform
from cri.images.meter import Meter
from cri.images.reference import Reference

log = logging.getLogger(__name__)

_PART_KEPT_S = 600.0  # how long removals spare what a broken pull left to resume
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """How the image store behaves.

    certs_d: directory of `<host>/hosts.toml` (containerd's form) naming mirrors, CAs and insecure hosts.
    insecure: registry hosts (`host` or `host:port`) reached by plain HTTP; loopback addresses always may be.
    pinned: full references (`*` matches anything) that the kubelet's garbage collection must spare.
    keeps_imported: pin what was imported from an archive, as nothing can fetch it again.
    """

    certs_d: Path | None = None
    insecure: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    keeps_imported: bool = True
    platform: Platform = dataclasses.field(default_factory=Platform.local)
    layer_bytes_max: int = 32 << 30
    layer_entries_max: int = 2_000_000


class ImageService:
    """All images of a node, below root, which only the runtime's user may enter."""

    def __init__(self, root: Path, config: Config | None = None, boot_id: str = "") -> None:
        self._root = root
        self._config = config or Config()
        self._tmp = root / "tmp"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)  # set-user-ID files of images are not for the host's users
        shutil.rmtree(self._tmp, ignore_errors=True)
        limits = extract.Limits(self._config.layer_entries_max, self._config.layer_bytes_max)
        self._flusher = Flusher(root)
        self._layers = Layers(root, limits, boot_id or _boot_id(), self._flusher)
        self._blobs = Blobs(root)
        self._lock = threading.RLock()
        self._held_layers: Counter[str] = Counter()
        self._held_blobs: Counter[str] = Counter()
        self._users: list[Callable[[], Iterable[str]]] = []
        self._cache: dict[str, Image] = {}
        self._downloads = Downloads(root)
        self._registries = pull.Registries(self._config.certs_d, self._config.insecure, self._downloads)
        self._catalog: Catalog = self._load()

    def pull(
        self, reference: str, auth: Auth | None = None, progress: ProgressCallback | None = None
    ) -> Image:
        """Fetch an image unless all of it is present, and tag it.

        An exception raised by progress aborts the pull. Raises ImageError.
        """
        wanted = Reference.parse(reference)
        report = Meter(str(wanted), progress or _ignore)
        report(Progress("resolving", str(wanted)))
        try:
            with self._registries.open(wanted, auth, report) as source:
                is_known = self.status(str(wanted)) is not None
                found = source.resolve(self._config.platform, self._document, is_known=is_known)
                names = Record(
                    id=found.manifest.config.digest,
                    layers=(),
                    size_bytes=0,
                    repo_tags=(wanted.tagged,) if wanted.tagged else (),
                    repo_digests=(wanted.with_digest(found.digest),),
                )
                image = self._add(names, found.config, found.documents, found.manifest, source, report)
        except errors.ImageError as err:
            raise errors.ImageError(err.kind, f'failed to pull and unpack image "{wanted}": {err}') from err
        log.info("pulled image, reference=%s id=%s %s", wanted, image.id, report.summary())
        return image

    def status(self, reference: str) -> Image | None:
        """Find an image by tag, digest reference, ID, or unique ID prefix."""
        with self._lock:
            record = catalog.find(self._catalog, reference)
            return self._image(record) if record else None

    def list(self, reference: str = "") -> builtins.list[Image]:
        """Return all images, or the one that reference names."""
        with self._lock:
            if reference:
                found = self.status(reference)
                return [found] if found else []
            return [self._image(record) for record in self._catalog.values()]

    def remove(self, reference: str) -> None:
        """Remove the image with all its tags; nothing happens when there is none.

        Layers that a container holds stay until a removal after it is gone.
        """
        with self._lock:
            record = catalog.find(self._catalog, reference)
            if record is None:
                return
            self._store(catalog.remove(self._catalog, record.id))
            self._cache.pop(record.id, None)
            bury = self._collect()
        bury()
        log.info("removed image, id=%s", record.id)

    def import_archive(self, path: Path, progress: ProgressCallback | None = None) -> builtins.list[Image]:
        """Add the images of an OCI layout or `docker save` archive (tar, gzip or zstd). Raises ImageError.

        Durable when it returns: nothing can fetch them again.
        """
        report = progress or _ignore
        report(Progress("resolving", str(path)))
        with archive.opened(path, self._tmp, self._config.layer_bytes_max * 2) as opened:
            images = [self._import(entry, opened, report) for entry in opened.images(self._config.platform)]
        self._flusher.now()
        return images

    def collect(self) -> None:
        """Delete layers and documents that nothing needs any more."""
        with self._lock:
            bury = self._collect()
        bury()

    def fs_info(self) -> FilesystemInfo:
        """Return what layers, documents and parts of downloads take on disk."""
        parts = [self._blobs.usage(), self._downloads.usage()]
        for chain_id in self._layers.all():
            with contextlib.suppress(FileNotFoundError):
                usage = self._layers.usage(chain_id)
                parts.append((usage.bytes, usage.inodes))
        return FilesystemInfo(self._root, sum(part[0] for part in parts), sum(part[1] for part in parts))

    def close(self) -> None:
        """Bring what was pulled last to the disk."""
        self._flusher.now()

    def layer_path(self, chain_id: str) -> Path:
        """Return the directory that holds one unpacked layer."""
        return self._layers.path(chain_id)

    def add_user(self, chain_ids_in_use: Callable[[], Iterable[str]]) -> None:
        """Register who may hold layers: they are spared by removal. Called with the store locked."""
        self._users.append(chain_ids_in_use)

    @contextlib.contextmanager
    def checked_out(self, image: Image) -> Iterator[None]:
        """Keep the image's layers while the body records that it holds them. Raises ImageError NOT_FOUND."""
        with self._lock:
            for chain_id in image.layers:
                if not self._layers.has(chain_id):
                    raise errors.not_found(f"cannot use image {image.id}: layer {chain_id}: not found")
            yield

    def _import(self, entry: archive.Entry, source: archive.Archive, report: ProgressCallback) -> Image:
        names = Record(
            id=entry.manifest.config.digest,
            layers=(),
            size_bytes=0,
            repo_tags=tuple(ref.tagged for ref in entry.references if ref.tagged),
            repo_digests=tuple(ref.with_digest(entry.digest) for ref in entry.references if entry.digest),
            is_pinned=self._config.keeps_imported,
        )
        return self._add(names, entry.config, entry.documents, entry.manifest, source, report)

    def _add(
        self,
        names: Record,
        config: bytes,
        documents: Iterable[bytes],
        found: Manifest,
        source: Source,
        report: ProgressCallback,
    ) -> Image:
        """Make layers and documents present, then record the image; hold them meanwhile."""
        diffs = manifest.diff_ids(manifest.load(config, "image config"))
        chain = manifest.chain_ids(diffs)
        digests = [manifest.digest_of(document) for document in documents]
        with self._holding(chain, [names.id, *digests]):
            layers = [Layer(*each) for each in zip(chain, diffs, found.layers, strict=True)]
            for layer in layers:
                if self._layers.has(layer.chain_id):
                    report(Progress("present", layer.blob.digest, layer.blob.size, layer.blob.size))
            self._layers.ensure(layers, source, report)
            failpoint.hit("image.layers_ready")
            for document in (config, *documents):
                self._blobs.put(document)
            failpoint.hit("image.documents_ready")
            size_bytes = sum(self._layers.usage(chain_id).bytes for chain_id in set(chain)) + len(config)
            record = dataclasses.replace(
                names, layers=chain, size_bytes=size_bytes, blobs=tuple(sorted(digests))
            )
            with self._lock:
                self._store(catalog.add(self._catalog, record))
                failpoint.hit("image.committed")
                self._cache.clear()
                return self._image(self._catalog[record.id])

    @contextlib.contextmanager
    def _holding(self, chain_ids: Iterable[str], digests: Iterable[str]) -> Iterator[None]:
        layers, blobs = Counter(chain_ids), Counter(digests)
        with self._lock:
            self._held_layers += layers
            self._held_blobs += blobs
        try:
            yield
        finally:
            with self._lock:
                self._held_layers -= layers
                self._held_blobs -= blobs

    def _image(self, record: Record) -> Image:
        image = self._cache.get(record.id)
        if image is None:
            names = {*record.repo_tags, *record.repo_digests}
            image = self._cache[record.id] = Image(
                id=record.id,
                repo_tags=record.repo_tags,
                repo_digests=record.repo_digests,
                size_bytes=record.size_bytes,
                config=manifest.load(self._blobs.read(record.id), "image config"),
                layers=record.layers,
                pinned=record.is_pinned or _matches(names, self._config.pinned),
            )
        return image

    def _document(self, digest: str) -> bytes | None:
        """Return a manifest or config that is here."""
        try:
            return self._blobs.read(digest) if digest else None
        except errors.ImageError:
            return None

    def _load(self) -> Catalog:
        """Read images.json; an image that lost a layer or its config is dropped, to be pulled again."""
        self._blobs.drop_damaged()
        known = self._read("images.json") or self._read("images.json.durable") or {}
        whole = {image_id: record for image_id, record in known.items() if self._is_whole(record)}
        for image_id in known.keys() - whole.keys():
            log.warning("dropped incomplete image, id=%s", image_id)
        return whole

    def _read(self, name: str) -> Catalog | None:
        """Read the catalogue; a damaged one is put aside: what is missing from it is pulled again."""
        path = self._root / name
        try:
            return catalog.decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            log.error("cannot read images, put aside, path=%s error=%s", path, err)
            path.rename(path.with_name(name + ".damaged"))
            return None

    def _is_whole(self, record: Record) -> bool:
        return self._blobs.has(record.id) and all(self._layers.has(chain_id) for chain_id in record.layers)

    def _store(self, new: Catalog) -> None:
        """Write the catalogue. A crash of the host may cost the newest file, but not its durable copy."""
        data = catalog.encode(new)
        blobs.replace(self._root / "images.json", data, self._tmp)
        copy = self._root / "images.json.durable"
        self._flusher.after(lambda: blobs.replace(copy, data, self._tmp, is_durable=True))
        self._catalog = new

    def _collect(self) -> Callable[[], None]:
        """Take out what neither an image, a pull under way nor a container needs. Call with the lock held."""
        used = {chain_id for user in self._users for chain_id in user()}
        kept = catalog.layers(self._catalog) | set(self._held_layers) | used
        self._blobs.keep_only(catalog.blobs(self._catalog) | set(self._held_blobs))
        self._downloads.purge(_PART_KEPT_S)
        return self._layers.discard([chain_id for chain_id in self._layers.all() if chain_id not in kept])


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()


def _matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _ignore(progress: Progress) -> None:
    del progress
