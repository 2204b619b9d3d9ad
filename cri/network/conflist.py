"""Network configuration lists: found, read, and turned into one plugin's stdin.

Source: CNI SPEC.md 1.1.0, sections 1 (configuration format) and 3 (execution of lists).
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]


class ConfigError(ValueError):
    """A network configuration cannot be used."""


@dataclasses.dataclass(frozen=True, slots=True)
class ConfList:
    """One network: plugins run in order for ADD, in reverse for DEL."""

    name: str
    version: str
    plugins: tuple[Json, ...]

    @property
    def types(self) -> tuple[str, ...]:
        return tuple([plugin["type"] for plugin in self.plugins])

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "cniVersion": self.version, "plugins": [dict(p) for p in self.plugins]}


def find(directory: Path) -> Path | None:
    """Return the network's file: the first `*.conflist`, `*.conf` or `*.json` by name, as CNI hosts do."""
    try:
        names = sorted(entry.name for entry in directory.iterdir())
    except OSError:
        return None
    return next((directory / n for n in names if n.endswith((".conflist", ".conf", ".json"))), None)


def load(path: Path) -> ConfList:
    """Read a configuration file. Raises ConfigError, OSError."""
    try:
        return parse(json.loads(path.read_bytes()))
    except ValueError as err:
        raise ConfigError(f"cannot read network configuration {path}: {err}") from err


def parse(data: Any) -> ConfList:
    """Read a list, or a single plugin's configuration as a list of one. Raises ConfigError. Pure."""
    if not isinstance(data, Mapping):
        raise ConfigError("cannot use network configuration: not an object")
    plugins = data.get("plugins", [data] if "type" in data else [])
    if not plugins or not all(isinstance(p, Mapping) and isinstance(p.get("type"), str) for p in plugins):
        raise ConfigError("cannot use network configuration: no plugins, or one without type")
    if any("/" in plugin["type"] for plugin in plugins):
        raise ConfigError("cannot use network configuration: a plugin type is a name, not a path")
    name = data.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError("cannot use network configuration: no name")
    return ConfList(name, str(data.get("cniVersion", "0.3.1")), tuple(plugins))


def plugin_input(
    network: ConfList, plugin: Json, capabilities: Json, extra: Json, previous: Json | None
) -> bytes:
    """Return one plugin's stdin. Pure.

    capabilities: runtime values by capability name; a plugin gets those it declares.
    extra: further top-level keys (`cni.dev/valid-attachments` of GC).
    """
    config: dict[str, Any] = {key: value for key, value in plugin.items() if key != "capabilities"}
    config |= {"name": network.name, "cniVersion": network.version, **extra}
    declared = plugin.get("capabilities") or {}
    runtime = {key: value for key, value in capabilities.items() if declared.get(key)}
    if runtime:
        config["runtimeConfig"] = runtime
    if previous is not None:
        config["prevResult"] = previous
    return json.dumps(config).encode()


def addresses(result: Json) -> tuple[str, ...]:
    """Return a result's addresses without prefix length, IPv4 first. Pure."""
    found = [str(entry["address"]).partition("/")[0] for entry in result.get("ips") or ()]
    return tuple(sorted(found, key=lambda address: ":" in address))


def missing(types: Iterable[str], builtin: Iterable[str], bin_dirs: Iterable[Path]) -> list[str]:
    """Return the plugins that are neither ours nor executables in bin_dirs."""
    known = set(builtin)
    directories = list(bin_dirs)
    return [t for t in types if t not in known and not any((d / t).is_file() for d in directories)]
