"""Pulling from registries: a source of layers that downloads ahead, in parallel, into temporary files."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Self

from cri.images import errors, hosts, manifest
from cri.images.image import Auth, Progress, ProgressCallback
from cri.images.manifest import Descriptor, Manifest, Platform
from cri.images.reference import Reference
from cri.images.registry import Client

_PARALLEL = 3  # downloads at a time, as containerd's max_concurrent_downloads


@dataclasses.dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means today. digest: of the index or manifest that the registry named."""

    digest: str
    config: bytes
    manifest: Manifest
    documents: tuple[bytes, ...]


class Registries:
    """Where images come from; each pull opens a source of its own, with its own credentials."""

    def __init__(self, certs_d: Path | None, insecure: frozenset[str]) -> None:
        self._certs_d = certs_d
        self._insecure = insecure

    @contextlib.contextmanager
    def open(
        self, reference: Reference, auth: Auth | None, tmp: Path, report: ProgressCallback
    ) -> Iterator["RegistrySource"]:
        """Open the source of one image; downloads not awaited are abandoned at the end."""
        endpoints = hosts.endpoints(reference.registry, self._certs_d, self._insecure)
        with RegistrySource(Client(endpoints, reference, auth), tmp, report) as source:
            yield source


class RegistrySource:
    """A `layers.Source` over the registry client."""

    def __init__(self, client: Client, tmp: Path, report: ProgressCallback) -> None:
        self._client = client
        self._tmp = tmp
        self._report = report
        self._pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="image-download")
        self._downloads: dict[str, Future[Path]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.abort()
        self._pool.shutdown(cancel_futures=True)
        for download in self._downloads.values():
            if download.done() and not download.cancelled() and download.exception() is None:
                download.result().unlink(missing_ok=True)
        self._client.close()

    def resolve(self, platform: Platform) -> Resolved:
        """Find out what to fetch. Raises ImageError."""
        reference = self._client.reference
        try:
            data = self._client.manifest(reference.target)
        except errors.ImageError as err:
            raise errors.ImageError(err.kind, f'failed to resolve reference "{reference}": {err}') from err
        digest = manifest.digest_of(data)
        documents = [data]
        document = manifest.load(data, "manifest")
        if manifest.is_index(document):
            data = self._client.manifest(manifest.choose(document, platform).digest)
            documents.append(data)
            document = manifest.load(data, "manifest")
        parsed = manifest.parse(document)
        config = self._client.document(parsed.config)
        manifest.check_config(manifest.load(config, "image config"), parsed, platform)
        return Resolved(digest, config, parsed, tuple(documents))

    def prefetch(self, blobs: Sequence[Descriptor]) -> None:
        """Start downloads, in order."""
        for blob in blobs:
            if blob.digest not in self._downloads:
                self._downloads[blob.digest] = self._pool.submit(self._download, blob)

    @contextlib.contextmanager
    def open(self, blob: Descriptor) -> Iterator[BinaryIO]:
        """Wait for a verified download and open it."""
        self.prefetch([blob])
        path = self._downloads[blob.digest].result()
        with path.open("rb") as file:
            yield file

    def _download(self, blob: Descriptor) -> Path:
        fd, name = tempfile.mkstemp(prefix="blob-", dir=self._tmp)
        path = Path(name)
        try:
            with os.fdopen(fd, "w+b") as file:
                self._client.blob(blob, file, lambda done: self._tell(blob, done))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _tell(self, blob: Descriptor, done: int) -> None:
        self._report(Progress("downloading", blob.digest, done, blob.size))
