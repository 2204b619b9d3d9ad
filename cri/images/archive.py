"""Image archives: OCI layouts and `docker save` tarballs, read in place from a seekable file.

Source: OCI image-spec image-layout.md; moby image/spec/v1.2.md (manifest.json).
"""

import contextlib
import dataclasses
import io
import posixpath
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from cri.images import errors, manifest, tar, unpack
from cri.images.manifest import Descriptor, Manifest, Platform
from cri.images.reference import Reference

_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_ENTRIES_MAX = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One image found in an archive. documents: manifests and index to keep, by which it is named."""

    references: tuple[Reference, ...]
    digest: str  # of index or manifest; empty for docker-archive
    config: bytes
    manifest: Manifest
    documents: tuple[bytes, ...]


class Archive:
    """An opened archive; a `layers.Source` for the layers in it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members = _index(file)

    def images(self, platform: Platform) -> list[Entry]:
        """Read what images there are for a platform. Raises ImageError."""
        listed = self._docker_list()
        if "index.json" in self._members:
            return self._oci_images(platform, listed)
        if listed is None:
            raise errors.invalid("cannot read archive: neither index.json nor manifest.json in it")
        return [self._docker_image(item, platform) for item in listed]

    def prefetch(self, blobs: Sequence[Descriptor]) -> None:
        """Nothing to fetch: the archive is local."""

    @contextlib.contextmanager
    def open(self, blob: Descriptor) -> Iterator[BinaryIO]:
        """Open a layer. Its diff ID is verified by the unpacking, so its own digest need not be."""
        offset, size = self._find(_blob_path(blob))
        yield cast(BinaryIO, _Slice(self._file, offset, size))

    def _oci_images(self, platform: Platform, listed: list[Mapping[str, Any]] | None) -> list[Entry]:
        index = manifest.load(self._document("index.json"), "index.json")
        entries = [entry for entry in index.get("manifests") or [] if isinstance(entry, dict)]
        fitting = [e for e in entries if "platform" not in e or platform.runs(e["platform"])]
        if not fitting:
            raise errors.not_found(f"no match for platform in archive: {platform}: not found")
        return [self._oci_image(entry, platform, listed) for entry in fitting]

    def _oci_image(
        self, entry: Mapping[str, Any], platform: Platform, listed: list[Mapping[str, Any]] | None
    ) -> Entry:
        top = manifest.descriptor(entry)
        data = self._blob(top)
        documents = [data]
        document = manifest.load(data, top.digest)
        if manifest.is_index(document):
            data = self._blob(manifest.choose(document, platform))
            documents.append(data)
            document = manifest.load(data, "manifest")
        parsed = manifest.parse(document)
        config = self._blob(parsed.config)
        manifest.check_config(manifest.load(config, "image config"), parsed, platform)
        references = _annotated(entry) or _listed(listed, parsed.config.digest)
        return Entry(references, top.digest, config, parsed, tuple(documents))

    def _docker_list(self) -> list[Mapping[str, Any]] | None:
        if "manifest.json" not in self._members:
            return None
        wrapped = b'{"images":' + self._document("manifest.json") + b"}"
        items = manifest.load(wrapped, "manifest.json")["images"]
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise errors.corrupt("cannot read manifest.json: not a list of objects")
        return items

    def _docker_image(self, item: Mapping[str, Any], platform: Platform) -> Entry:
        paths = item.get("Layers") or []
        if not isinstance(paths, list) or len(paths) > manifest.LAYERS_MAX:
            raise errors.corrupt("cannot read manifest.json: invalid Layers")
        config = self._document(str(item.get("Config")))
        config_digest = manifest.digest_of(config)
        layers = tuple(Descriptor(str(path), self._find(str(path))[1], "path") for path in paths)
        parsed = Manifest(Descriptor(config_digest, len(config)), layers)
        manifest.check_config(manifest.load(config, "image config"), parsed, platform)
        return Entry(_listed([item], config_digest), "", config, parsed, ())

    def _blob(self, blob: Descriptor) -> bytes:
        data = self._document(_blob_path(blob))
        if manifest.digest_of(data) != blob.digest:
            raise errors.corrupt(f"cannot read archive: content of {blob.digest} does not match")
        return data

    def _document(self, path: str) -> bytes:
        offset, size = self._find(path)
        if size > manifest.DOCUMENT_BYTES_MAX:
            raise errors.too_big(f"cannot read {path}: longer than {manifest.DOCUMENT_BYTES_MAX} bytes")
        self._file.seek(offset)
        return self._file.read(size)

    def _find(self, path: str) -> tuple[int, int]:
        for _ in range(8):  # `docker save` of old wrote repeated layers as symbolic links
            found = self._members.get(posixpath.normpath(path))
            if found is None:
                raise errors.corrupt(f"cannot read archive: {path!r} is not in it")
            if not isinstance(found, str):
                return found
            path = posixpath.join(posixpath.dirname(path), found)
        raise errors.corrupt(f"cannot read archive: {path!r} is a circle of links")


@contextlib.contextmanager
def opened(path: Path, tmp: Path, bytes_max: int) -> Iterator[Archive]:
    """Open an archive file, by a decompressed copy below tmp if it is compressed. Raises ImageError."""
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(path.open("rb"))
            plain = unpack.decompressed(file)
            if isinstance(plain, io.BufferedReader):
                file.seek(0)
                yield Archive(file)
                return
            copy = stack.enter_context(tempfile.TemporaryFile(dir=tmp))
            _copy(plain, cast(BinaryIO, copy), bytes_max)
            yield Archive(cast(BinaryIO, copy))
    except FileNotFoundError as err:
        raise errors.not_found(f"cannot open archive {path}: not found") from err
    except tar.TarError as err:
        raise errors.invalid(f"cannot read archive {path}: it is no whole tar archive: {err}") from err


def _copy(source: BinaryIO, target: BinaryIO, left: int) -> None:
    for data in unpack.chunks(source):
        left -= len(data)
        if left < 0:
            raise errors.too_big("cannot decompress archive: too large")
        target.write(data)
    target.seek(0)


class _Slice(io.RawIOBase):
    """A part of a file as a file of its own."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file = file
        self._at = offset
        self._end = offset + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._at)
        data = self._file.read(min(len(buffer), self._end - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _index(file: BinaryIO) -> dict[str, tuple[int, int] | str]:
    """Map members to (offset, size) or, for links, to the link's target."""
    members: dict[str, tuple[int, int] | str] = {}
    reader = tar.Reader(file.read, lambda count: file.seek(count, io.SEEK_CUR))
    for member in reader:
        if len(members) > _ENTRIES_MAX:
            raise errors.too_big(f"cannot read archive: more than {_ENTRIES_MAX} members")
        name = posixpath.normpath(member.name.decode(errors="replace"))
        if member.kind is tar.Kind.FILE:
            members[name] = (reader.offset, member.size)
        elif member.kind is tar.Kind.SYMLINK:
            members[name] = member.link.decode(errors="replace")
        elif member.kind is tar.Kind.HARDLINK:
            members[name] = posixpath.relpath(member.link.decode(errors="replace"), posixpath.dirname(name))
    return members


def _blob_path(blob: Descriptor) -> str:
    return blob.digest if blob.media_type == "path" else "blobs/" + blob.digest.replace(":", "/")


def _annotated(entry: Mapping[str, Any]) -> tuple[Reference, ...]:
    annotations = entry.get("annotations")
    for key in _NAME_ANNOTATIONS:
        name = annotations.get(key) if isinstance(annotations, dict) else None
        if isinstance(name, str) and ("/" in name or ":" in name):
            return (Reference.parse(name),)
    return ()


def _listed(items: list[Mapping[str, Any]] | None, config_digest: str) -> tuple[Reference, ...]:
    """Find the names that manifest.json gives the image with this config."""
    for item in items or ():
        if config_digest[7:] in str(item.get("Config")) or len(items or ()) == 1:
            return tuple(Reference.parse(str(tag)) for tag in item.get("RepoTags") or ())
    return ()
