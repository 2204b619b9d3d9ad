"""What an image is to the rest of the runtime. Pure."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """One image of the store, as CRI tells it.

    id: digest of the image config, `sha256:…`.
    repo_tags, repo_digests: full references, `docker.io/library/busybox:1`, sorted.
    size_bytes: what the unpacked layers take on disk.
    config: the OCI image config document (`config.Entrypoint`, `config.Env`, `rootfs.diff_ids` …); untrusted.
    layers: chain IDs, base first.
    """

    id: str
    repo_tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    size_bytes: int
    config: Mapping[str, Any]
    layers: tuple[str, ...]
    pinned: bool = False

    @property
    def process(self) -> Mapping[str, Any]:
        """The `config` object of the config document: Entrypoint, Cmd, Env, User, WorkingDir, StopSignal."""
        return self.config.get("config") or {}


@dataclasses.dataclass(frozen=True, slots=True)
class Auth:
    """Credentials for one pull, as CRI's AuthConfig carries them. Never logged."""

    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    identity_token: str = dataclasses.field(default="", repr=False)
    registry_token: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """One step of a pull or import: `resolving`, `downloading`, `unpacking`, `present` or `done` of an item.

    item: a layer's digest, or the reference; current and total in bytes, total 0 when unknown.
    """

    action: str
    item: str
    current: int = 0
    total: int = 0


ProgressCallback = Callable[[Progress], None]


@dataclasses.dataclass(frozen=True, slots=True)
class FilesystemInfo:
    """Disk use of the image store, for CRI's ImageFsInfo."""

    mountpoint: Path
    used_bytes: int
    inodes_used: int
