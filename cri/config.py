"""The settings of one CRI runtime: a JSON file, checked once, then values that never change."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEFAULT_RUN_DIR = Path("/run/nanokube/cri")
DEFAULT_LIB_DIR = Path("/var/lib/nanokube/cri")
_SPARES_MAX = 4  # each is an empty network of the kernel, some 0.3 MB


class ConfigError(ValueError):
    """The configuration file holds something the runtime cannot use."""


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """What an operator may set. Every default suits a host with one nanokube on it.

    socket: the gRPC endpoint; it gets mode 0600 in a directory of mode 0700.
    run_dir: records and namespace pins; dies with the boot where it is a tmpfs.
    lib_dir: images, snapshots, writable layers.
    cgroup_root: the cgroup below which everything this runtime makes lives.
    cni_conf_dir: the first `*.conflist` (by name) is the Pod network.
    cni_data_dir, bridge, cluster_cidrs, mtu: for the network written when a kubelet names the Pod range and
        there is none; bridge holds the gateways, and to cluster_cidrs, all Pods, a Pod's address is kept.
    registry_config_dir: one directory a registry host with a `hosts.toml`, as containerd's certs.d.
    pinned_images: full references, `*` matches anything; garbage collection spares them and imported ones.
    enable_selinux: label containers where the kernel has SELinux; else what asks for a label is refused.
        False: nothing is labelled, and labels pass unheeded where the kernel has no SELinux.
    runtime_handlers: names under which a RuntimeClass may ask for this runtime, such as runc; all the same.
    spare_namespaces: networks made ahead while Pods come one after the other, 0 to 4; none on an idle node.
    stream_address, stream_port: where exec, attach and port-forward listen; port 0 picks a free one.
    """

    socket: Path = Path("/run/nanokube/cri.sock")
    run_dir: Path = DEFAULT_RUN_DIR
    lib_dir: Path = DEFAULT_LIB_DIR
    cgroup_root: str = "nanokube"
    cni_conf_dir: Path = Path("/etc/cni/net.d")
    cni_bin_dirs: tuple[Path, ...] = (Path("/opt/cni/bin"),)
    cni_data_dir: Path = Path("/var/lib/nanokube/cni")
    bridge: str = "nk0"
    cluster_cidrs: tuple[str, ...] = ()
    mtu: int = 0
    registry_config_dir: Path | None = None
    insecure_registries: tuple[str, ...] = ()
    pinned_images: tuple[str, ...] = ()
    enable_selinux: bool = True
    runtime_handlers: tuple[str, ...] = ()
    stream_address: str = "127.0.0.1"
    stream_port: int = 0
    max_workers: int = 192  # a kubelet that is told to end 110 Pods stops them all at once
    spare_namespaces: int = 1
    log_level: str = "INFO"

    @property
    def images_dir(self) -> Path:
        return self.lib_dir / "images"

    @property
    def snapshots_dir(self) -> Path:
        return self.lib_dir / "snapshots"

    @property
    def namespaces_dir(self) -> Path:
        return self.run_dir / "ns"


def load(path: Path) -> Config:
    """Read the JSON configuration file. Raises ConfigError naming the field, OSError."""
    try:
        data = json.loads(path.read_bytes())
    except json.JSONDecodeError as err:
        raise ConfigError(f"cannot parse {path}: {err}") from err
    return from_json(data)


def from_json(data: Mapping[str, Any]) -> Config:
    """Build a Config from parsed JSON; unknown keys are refused so that a typo is seen."""
    if not isinstance(data, Mapping):
        raise ConfigError("cannot use configuration: expected a JSON object")
    fields = {field.name: field for field in dataclasses.fields(Config)}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in fields:
            raise ConfigError(f"cannot use configuration: unknown field {key!r}")
        values[key] = _convert(key, value, getattr(Config(), key))
    if values.get("spare_namespaces", 0) not in range(_SPARES_MAX + 1):
        raise ConfigError(f"cannot use configuration: spare_namespaces must be from 0 to {_SPARES_MAX}")
    return Config(**values)


def to_json(config: Config) -> dict[str, Any]:
    """Return what from_json reads back as the same Config."""
    return {key: _plain(value) for key, value in dataclasses.asdict(config).items()}


def _convert(key: str, value: Any, default: Any) -> Any:
    """Give one JSON value the type its default has."""
    if isinstance(default, Path) or key == "registry_config_dir":
        return _path(key, value) if value is not None else None
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"cannot use configuration: {key} must be a list of strings")
        return tuple(Path(item) for item in value) if key == "cni_bin_dirs" else tuple(value)
    if type(value) is not type(default):
        raise ConfigError(f"cannot use configuration: {key} must be of type {type(default).__name__}")
    return value


def _path(key: str, value: Any) -> Path:
    if not isinstance(value, str) or not value.startswith("/"):
        raise ConfigError(f"cannot use configuration: {key} must be an absolute path")
    return Path(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
