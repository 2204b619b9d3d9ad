"""OCI and Docker schema 2 manifests, indexes and image configs: choose a platform, compute chain IDs. Pure.

Source: OCI image-spec v1.1 (manifest.md, image-index.md, config.md), Docker image manifest v2 schema 2.
"""

import dataclasses
import hashlib
import json
import platform as host
from collections.abc import Mapping, Sequence
from pathlib import Path
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
_CPUINFO = Path("/proc/cpuinfo")
_ALIASES = {  # names that machines and indexes use. Source: containerd platforms, database.go
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
}
_AMD64_LEVELS = (  # flags in /proc/cpuinfo. Source: x86-64 psABI, Microarchitecture Levels
    ("v2", {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}),
    ("v3", {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}),
    ("v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Platform:
    """What this node can run."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def local(cls, cpuinfo: str = "") -> Self:
        """Tell what this machine is. cpuinfo: in place of /proc/cpuinfo."""
        machine = host.machine()
        architecture, variant = _ALIASES.get(machine, (machine, ""))
        if architecture == "amd64":
            variant = _amd64_level(cpuinfo or _CPUINFO.read_text())
        return cls("linux", architecture, variant)

    def runs(self, other: Mapping[str, Any]) -> bool:
        """Tell whether an index's platform object, or an image config, fits this node."""
        return self.distance(other) is not None

    def distance(self, other: Mapping[str, Any]) -> int | None:
        """Return how far an image is from the best for this platform; None if it does not run.

        Of `v` variants (arm, amd64) older ones run too. Source: containerd platforms, compare.go.
        """
        architecture, variant = _normal(other.get("architecture"), other.get("variant"))
        own_architecture, own_variant = _normal(self.architecture, self.variant)
        if str(other.get("os")).lower() != self.os or architecture != own_architecture:
            return None
        if variant == own_variant:
            return 0
        if architecture in ("arm", "amd64"):
            gap = _level(own_variant) - _level(variant)
            return gap if gap >= 0 else None
        return 1 if not own_variant or not variant else None

    def __str__(self) -> str:
        """Render without amd64's level, which nobody expects there.

        >>> str(Platform("linux", "amd64", "v3")), str(Platform("linux", "arm", "v7"))
        ('linux/amd64', 'linux/arm/v7')
        """
        if self.architecture == "amd64":
            return f"{self.os}/{self.architecture}"
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclasses.dataclass(frozen=True, slots=True)
class Descriptor:
    """Content named by digest. size: bytes, as the naming document claims."""

    digest: str
    size: int
    media_type: str = ""

    @property
    def is_foreign(self) -> bool:
        """Tell whether registries need not have it."""
        return "nondistributable" in self.media_type or ".foreign." in self.media_type


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
    """Pick the manifest of an index for a platform: the nearest; of equals the first."""
    entries = index.get("manifests")
    if not isinstance(entries, list):
        raise errors.corrupt("cannot read image index: no manifests")
    fitting = []
    for entry in entries:
        known = entry.get("platform") if isinstance(entry, dict) else None
        distance = platform.distance(known) if isinstance(known, dict) else None
        if distance is not None:
            fitting.append((distance, entry))
    if fitting:
        return descriptor(min(fitting, key=lambda pair: pair[0])[1])
    if len(entries) == 1 and isinstance(entries[0], dict) and "platform" not in entries[0]:
        return descriptor(entries[0])  # a bare index of one image: its config tells the platform
    raise errors.not_found(f"no match for platform in manifest: {platform}: not found")


def _normal(architecture: Any, variant: Any) -> tuple[str, str]:
    """Name an architecture and variant as Go does, defaults made plain."""
    name, level = _ALIASES.get(str(architecture).lower(), (str(architecture).lower(), ""))
    level = str(variant or "").lower() or level
    level = "v" + level if level.isdigit() else level
    default = {"arm64": "v8", "amd64": "v1"}.get(name)
    return name, "" if level == default else level or ("v7" if name == "arm" else "")


def _level(variant: str) -> int:
    """Read `v3`; the plain architecture is level 1, an unknown variant beyond all."""
    if not variant:
        return 1
    return int(variant[1:]) if variant[1:].isdigit() and variant[0] == "v" else 1000


def _amd64_level(cpuinfo: str) -> str:
    line = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    flags, found = set(line.split()), ""
    for level, needed in _AMD64_LEVELS:
        if not needed <= flags:
            break
        found = level
    return found


def parse(document: Mapping[str, Any]) -> Manifest:
    """Read an image manifest."""
    if document.get("schemaVersion") == 1 or "fsLayers" in document:
        raise errors.invalid("cannot read manifest: schema 1 is not supported")
    layers = document.get("layers")
    if not isinstance(layers, list) or not isinstance(document.get("config"), dict):
        raise errors.corrupt("cannot read manifest: no config or layers")
    if any("+encrypted" in str(layer.get("mediaType")) for layer in layers if isinstance(layer, dict)):
        raise errors.invalid("cannot read manifest: encrypted layers are not supported")
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
