"""Pulling from registries: a source of layers that downloads ahead, in parallel, and reads while it comes."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Self

from cri.images import downloads, errors, hosts, manifest
from cri.images.downloads import Downloads, Part
from cri.images.image import Auth, Progress, ProgressCallback
from cri.images.manifest import Descriptor, Manifest, Platform
from cri.images.reference import Reference
from cri.images.registry import Client

_PARALLEL = 3  # downloads at a time of one pull, as containerd's max_concurrent_downloads
_PARALLEL_OF_REGISTRY = 8  # of all pulls from one registry
_WAIT_S = 0.5  # how soon a waiting pull notices that its client gave up

Known = Callable[[str], bytes | None]  # a document by digest, if it is here already


@dataclasses.dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means today. digest: of the index or manifest that the registry named."""

    digest: str
    config: bytes
    manifest: Manifest
    documents: tuple[bytes, ...]


class Registries:
    """Where images come from; each pull opens a source of its own, with its own credentials."""

    def __init__(self, certs_d: Path | None, insecure: frozenset[str], parts: Downloads) -> None:
        self._certs_d = certs_d
        self._insecure = insecure
        self._parts = parts
        self._lock = threading.Lock()
        self._slots: dict[str, threading.Semaphore] = {}

    @contextlib.contextmanager
    def open(
        self, reference: Reference, auth: Auth | None, report: ProgressCallback
    ) -> Iterator["RegistrySource"]:
        """Open the source of one image; downloads not awaited are abandoned at the end."""
        endpoints = hosts.endpoints(reference.registry, self._certs_d, self._insecure)
        with self._lock:
            slots = self._slots.setdefault(reference.registry, threading.Semaphore(_PARALLEL_OF_REGISTRY))
        with RegistrySource(Client(endpoints, reference, auth), self._parts, slots, report) as source:
            yield source


class RegistrySource:
    """A `layers.Source` over the registry client."""

    def __init__(
        self, client: Client, parts: Downloads, slots: threading.Semaphore, report: ProgressCallback
    ) -> None:
        self._client = client
        self._parts = parts
        self._slots = slots
        self._report = report
        self._held = contextlib.ExitStack()
        self._pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="image-download")
        self._downloads: dict[str, tuple[Part, Future[None]]] = {}
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._client.abort()
        self._pool.shutdown(cancel_futures=True)
        self._held.close()
        self._client.close()

    def resolve(self, platform: Platform, known: Known, *, is_known: bool = False) -> Resolved:
        """Find out what to fetch. is_known: we have the tag, perhaps unchanged. Raises ImageError."""
        reference = self._client.reference
        same: Known = _nothing  # what is here is used for an unchanged tag only, whose reader is authorized
        data = None
        if is_known and not reference.digest and (data := known(self._client.digest(reference.tag))):
            same = known
        try:
            data = data or self._client.manifest(reference.target)
        except errors.ImageError as err:
            raise errors.ImageError(err.kind, f'failed to resolve reference "{reference}": {err}') from err
        digest = manifest.digest_of(data)
        documents = [data]
        document = manifest.load(data, "manifest")
        if manifest.is_index(document):
            chosen = manifest.choose(document, platform).digest
            data = same(chosen) or self._client.manifest(chosen)
            documents.append(data)
            document = manifest.load(data, "manifest")
        parsed = manifest.parse(document)
        config = same(parsed.config.digest) or self._client.document(parsed.config)
        manifest.check_config(manifest.load(config, "image config"), parsed, platform)
        return Resolved(digest, config, parsed, tuple(documents))

    def prefetch(self, blobs: Sequence[Descriptor]) -> None:
        """Start downloads, in order."""
        for blob in blobs:
            if blob.digest not in self._downloads:
                part = self._held.enter_context(self._parts.using(blob))
                self._downloads[blob.digest] = part, self._pool.submit(self._download, blob, part)

    @contextlib.contextmanager
    def open(self, blob: Descriptor) -> Iterator[BinaryIO]:
        """Read a download while it comes; at the end of the body its digest is verified."""
        self.prefetch([blob])
        part, download = self._downloads[blob.digest]

        def check() -> None:
            if download.done():
                download.result()
            self._tell("waiting" if not part.size else "downloading", blob, part.size)

        try:
            yield downloads.follow(part, check)
        except errors.ImageError:
            if download.done():
                download.result()  # the cause, where the body has only seen a consequence
            raise
        while not part.is_whole:
            check()
            part.wait(blob.size, _WAIT_S)

    def _download(self, blob: Descriptor, part: Part) -> None:
        """Fetch a blob, or wait for the pull that does; who fails leaves what came to the next in turn."""
        with self._having(part.turn) as has_turn:
            if not has_turn or part.is_whole:
                return
            with self._having(self._slots) as has_slot:
                if has_slot:
                    part.take_up()
                    self._fetch(blob, part)

    def _fetch(self, blob: Descriptor, part: Part) -> None:
        try:
            self._client.blob(blob, part, lambda done: self._tell("downloading", blob, done))
        except errors.ImageError as err:
            if not blob.is_foreign or err.kind is not errors.Kind.NOT_FOUND:
                raise
            # A manifest must not make the node ask addresses of its choice (CVE-2020-15157).
            raise errors.ImageError(
                errors.Kind.FAILED_PRECONDITION,
                f"{blob.digest}: a foreign layer that the registry does not have; its URLs are not followed",
            ) from err

    @contextlib.contextmanager
    def _having(self, lock: "threading.Lock | threading.Semaphore") -> Iterator[bool]:
        """Take a lock, unless the pull is over before; tells whether it is taken."""
        while not (is_taken := lock.acquire(timeout=_WAIT_S)):
            if self._is_over:
                break
        try:
            yield is_taken and not self._is_over
        finally:
            if is_taken:
                lock.release()

    def _tell(self, action: str, blob: Descriptor, done: int) -> None:
        self._report(Progress(action, blob.digest, done, blob.size))


def _nothing(digest: str) -> bytes | None:
    del digest
    return None
