"""OCI and Docker schema 2 manifests, indexes and image configs: choose a platform, compute chain IDs. Pure.

Source: OCI image-spec v1.1 (manifest.md, image-index.md, config.md), Docker image manifest v2 schema 2.
"""

import dataclasses
import hashlib
import json
import platform as host
from collections.abc import Mapping, Sequence
from typing import Any, Self

from cri.images import errors, reference

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
DOCUMENT_BYTES_MAX = 4 << 20  # distribution-spec: registries need not take manifests above 4 MiB
LAYERS_MAX = 256  # overlayfs allows 500; Docker writes at most 127
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "s390x": "s390x"}


@dataclasses.dataclass(frozen=True, slots=True)
class Platform:
    """What this node can run."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def local(cls) -> Self:
        machine = host.machine()
        return cls("linux", _MACHINES.get(machine, machine), "v7" if machine == "armv7l" else "")

    def runs(self, other: Mapping[str, Any]) -> bool:
        """Tell whether an index's platform object, or an image config, fits this node."""
        same = other.get("os") == self.os and other.get("architecture") == self.architecture
        return same and (not self.variant or not other.get("variant") or other["variant"] == self.variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclasses.dataclass(frozen=True, slots=True)
class Descriptor:
    """Content named by digest. size: bytes, as the naming document claims."""

    digest: str
    size: int
    media_type: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def load(data: bytes, what: str) -> dict[str, Any]:
    """Decode an untrusted JSON document that must be an object."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise errors.too_big(f"cannot read {what}: longer than {DOCUMENT_BYTES_MAX} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise errors.corrupt(f"cannot read {what}: {err}") from err
    if not isinstance(document, dict):
        raise errors.corrupt(f"cannot read {what}: not an object")
    return document


def is_index(document: Mapping[str, Any]) -> bool:
    return document.get("mediaType") in INDEX_TYPES or "manifests" in document


def choose(index: Mapping[str, Any], platform: Platform) -> Descriptor:
    """Pick the manifest of an index for a platform; the first that fits wins."""
    entries = index.get("manifests")
    if not isinstance(entries, list):
        raise errors.corrupt("cannot read image index: no manifests")
    for entry in entries:
        known = entry.get("platform") if isinstance(entry, dict) else None
        if isinstance(known, dict) and platform.runs(known):
            return descriptor(entry)
    if len(entries) == 1 and isinstance(entries[0], dict) and "platform" not in entries[0]:
        return descriptor(entries[0])  # a bare index of one image: its config tells the platform
    raise errors.not_found(f"no match for platform in manifest: {platform}: not found")


def parse(document: Mapping[str, Any]) -> Manifest:
    """Read an image manifest."""
    if document.get("schemaVersion") == 1 or "fsLayers" in document:
        raise errors.invalid("cannot read manifest: schema 1 is not supported")
    layers = document.get("layers")
    if not isinstance(layers, list) or not isinstance(document.get("config"), dict):
        raise errors.corrupt("cannot read manifest: no config or layers")
    if len(layers) > LAYERS_MAX:
        raise errors.too_big(f"cannot read manifest: {len(layers)} layers, at most {LAYERS_MAX}")
    return Manifest(descriptor(document["config"]), tuple(descriptor(layer) for layer in layers))


def descriptor(entry: Any) -> Descriptor:
    """Read a content descriptor."""
    try:
        found = Descriptor(entry["digest"], int(entry["size"]), str(entry.get("mediaType", "")))
    except (TypeError, KeyError, ValueError, AttributeError) as err:
        raise errors.corrupt(f"cannot read descriptor: {err!r}") from err
    if not isinstance(found.digest, str) or not reference.DIGEST.fullmatch(found.digest) or found.size < 0:
        raise errors.corrupt(f"cannot read descriptor: invalid digest or size: {str(found.digest)[:80]}")
    return found


def diff_ids(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the digests of the uncompressed layers, base first."""
    rootfs = config.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(found, list) or not all(
        isinstance(diff_id, str) and reference.DIGEST.fullmatch(diff_id) for diff_id in found
    ):
        raise errors.corrupt("cannot read image config: invalid rootfs.diff_ids")
    return tuple(found)


def chain_ids(diffs: Sequence[str]) -> tuple[str, ...]:
    """Compute the chain ID of each layer over its parents. Source: image-spec config.md, Layer ChainID."""
    chain: list[str] = []
    for diff in diffs:
        chain.append(digest_of(f"{chain[-1]} {diff}".encode()) if chain else diff)
    return tuple(chain)


def check_config(config: Mapping[str, Any], manifest: Manifest, platform: Platform) -> None:
    """Refuse an image whose config does not fit its manifest or this node."""
    if not platform.runs(config):
        built = f"{config.get('os')}/{config.get('architecture')}"
        raise errors.not_found(
            f"no match for platform in manifest: {platform} (the image is for {built}): not found"
        )
    if not isinstance(config.get("config") or {}, dict):
        raise errors.corrupt("cannot read image config: config is not an object")
    if len(diff_ids(config)) != len(manifest.layers):
        raise errors.corrupt("cannot read image config: diff_ids and layers differ in number")
