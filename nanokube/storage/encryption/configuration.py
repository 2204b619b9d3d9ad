"""EncryptionConfiguration (apiserver.config.k8s.io/v1): what is encrypted by which keys. Pure.

Source: staging apiserver pkg/apis/apiserver: v1 (fields), validation/validation_encryption.go.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

API_VERSION: Final = "apiserver.config.k8s.io/v1"
KIND: Final = "EncryptionConfiguration"
KEY_BYTES: Final[Mapping[str, tuple[int, ...]]] = {
    "aesgcm": (16, 24, 32),
    "aescbc": (16, 24, 32),
    "secretbox": (32,),
}
PLUGIN_TIMEOUT_S: Final = 3.0
# Keys of the store that are no resource of the API.
INTERNAL: Final = ("apiserveripinfo", "serviceipallocations", "servicenodeportallocations")
_DURATION: Final = re.compile(r"(?:(\d+(?:\.\d*)?)(ms|s|m|h))+")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class ConfigurationError(ValueError):
    """The file cannot be used; the message names the field."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a provider."""

    name: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Local:
    """A provider whose keys are in the file. kind: of KEY_BYTES. The first key encrypts."""

    kind: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Kms:
    """A provider that asks a plugin. endpoint: "unix:///path", or "unix:///@name" of an abstract socket."""

    name: str
    endpoint: str
    timeout_s: float = PLUGIN_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Identity:
    """The provider that leaves values as they are."""


Provider = Local | Kms | Identity


@dataclass(frozen=True, slots=True)
class Configuration:
    """rules: providers by (group, resource), either "*" for all; of each the first encrypts.

    digest: of the file, as the metric of upstream shows it.
    """

    rules: Mapping[tuple[str, str], tuple[Provider, ...]]
    digest: str = ""

    def providers(self, group: str, resource: str) -> tuple[Provider, ...]:
        """Give the providers of a resource; none: it is not encrypted."""
        for asked in ((group, resource), (group, "*"), ("*", "*")):
            if asked in self.rules:
                return self.rules[asked]
        return ()


NOTHING: Final = Configuration({})


def digest(text: bytes) -> str:
    """Name a file's content."""
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def parse(text: bytes) -> Configuration:
    """Read a file's content (YAML or JSON). Raises ConfigurationError."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as err:
        raise ConfigurationError("it is no YAML") from err  # the cause would show keys
    if not isinstance(found, dict):
        raise ConfigurationError("it is no mapping")
    if found.get("apiVersion") != API_VERSION or found.get("kind") != KIND:
        raise ConfigurationError(f"apiVersion and kind must be {API_VERSION} and {KIND}")
    _fields(found, "", "apiVersion", "kind", "metadata", "resources")
    rules: dict[tuple[str, str], tuple[Provider, ...]] = {}
    names: set[str] = set()
    for path, entry in _items(found, "", "resources"):
        _fields(entry, path, "resources", "providers")
        providers = tuple(_provider(at, each, names) for at, each in _items(entry, path, "providers"))
        for asked in _resources(f"{path}.resources", entry.get("resources")):
            rules[asked] = rules.get(asked, ()) + providers
    return Configuration(rules, digest(text))


def _resources(path: str, found: object) -> Sequence[tuple[str, str]]:
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise ConfigurationError(f"{path}: at least one resource is required")
    asked = [_group_resource(f"{path}[{index}]", name) for index, name in enumerate(found)]
    if len(set(asked)) < len(asked):
        raise ConfigurationError(f"{path}: a resource is named twice")
    for group, resource in asked:
        others = [each for each in asked if each != (group, resource)]
        if others and group == "*":
            raise ConfigurationError(f"{path}: *.* overlaps with all others")
        if resource == "*" and any(other == group for other, _ in others):
            raise ConfigurationError(f"{path}: *.{group} overlaps with another of that group")
    return asked


def _group_resource(path: str, name: str) -> tuple[str, str]:
    resource, _, group = name.partition(".")
    if name != name.lower():
        raise ConfigurationError(f"{path}: {name!r} must be in lower case")
    if not resource or name == "*":
        raise ConfigurationError(f"{path}: {name!r} is no resource; say *.* for all, *. for the core group")
    if name in INTERNAL:
        raise ConfigurationError(f"{path}: {name} is no resource of the API")
    if group == "events.k8s.io":
        raise ConfigurationError(f"{path}: events are stored as those of the core group: say events")
    if group == "extensions":
        raise ConfigurationError(f"{path}: nothing is stored in group extensions")
    if group == "*" and resource != "*":
        raise ConfigurationError(f"{path}: {name!r} would be of all groups; say *.*, or name the group")
    return group, resource


def _provider(path: str, found: Mapping[str, Any], names: set[str]) -> Provider:
    kinds = [kind for kind in (*KEY_BYTES, "kms", "identity") if found.get(kind) is not None]
    _fields(found, path, *KEY_BYTES, "kms", "identity")
    if len(kinds) != 1:
        raise ConfigurationError(f"{path}: exactly one of {', '.join(KEY_BYTES)}, kms, identity is required")
    kind, inner = kinds[0], found[kinds[0]]
    if not isinstance(inner, dict):
        raise ConfigurationError(f"{path}.{kind}: it is no mapping")
    if kind == "identity":
        return Identity()
    if kind == "kms":
        return _kms(f"{path}.kms", inner, names)
    _fields(inner, f"{path}.{kind}", "keys")
    return Local(kind, tuple(_key(at, kind, each) for at, each in _items(inner, f"{path}.{kind}", "keys")))


def _key(path: str, kind: str, found: Mapping[str, Any]) -> Key:
    _fields(found, path, "name", "secret")
    name, secret = found.get("name"), found.get("secret")
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{path}.name: it is required")
    if ":" in name:
        raise ConfigurationError(f"{path}.name: {name!r} must not have a colon")
    if not isinstance(secret, str) or not secret:
        raise ConfigurationError(f"{path}.secret: it is required")
    try:
        raw = base64.b64decode(secret, validate=True)
    except binascii.Error as err:
        raise ConfigurationError(f"{path}.secret: it is not base64") from err
    if len(raw) not in KEY_BYTES[kind]:
        allowed = " or ".join(map(str, KEY_BYTES[kind]))
        raise ConfigurationError(f"{path}.secret: it has {len(raw)} bytes, {kind} takes {allowed}")
    return Key(name, raw)


def _kms(path: str, found: Mapping[str, Any], names: set[str]) -> Kms:
    _fields(found, path, "apiVersion", "name", "endpoint", "timeout", "cachesize")
    if found.get("apiVersion", "v1") != "v2":
        raise ConfigurationError(f"{path}.apiVersion: v2 is what is spoken here")
    if "cachesize" in found:
        raise ConfigurationError(f"{path}.cachesize: v2 has none")
    name, endpoint = found.get("name"), found.get("endpoint")
    if not isinstance(name, str) or not name or ":" in name:
        raise ConfigurationError(f"{path}.name: it is required, without a colon")
    if name in names:
        raise ConfigurationError(f"{path}.name: {name} is named twice")
    names.add(name)
    if not isinstance(endpoint, str) or not endpoint.startswith("unix://"):
        raise ConfigurationError(f"{path}.endpoint: a socket like unix:///run/kms.sock is required")
    return Kms(name, endpoint, _duration(f"{path}.timeout", found.get("timeout")))


def _duration(path: str, found: object) -> float:
    if found is None:
        return PLUGIN_TIMEOUT_S
    if not isinstance(found, str) or not _DURATION.fullmatch(found):
        raise ConfigurationError(f"{path}: {found!r} is no duration like 3s")
    total = sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+(?:\.\d*)?)(ms|s|m|h)", found))
    if total <= 0:
        raise ConfigurationError(f"{path}: it must be above zero")
    return total


def _items(found: Mapping[str, Any], path: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    path = f"{path}.{name}" if path else name
    items = found.get(name)
    if not isinstance(items, list) or not items:
        raise ConfigurationError(f"{path}: at least one is required")
    for index, each in enumerate(items):
        if not isinstance(each, dict):
            raise ConfigurationError(f"{path}[{index}]: it is no mapping")
        yield f"{path}[{index}]", each


def _fields(found: Mapping[str, Any], path: str, *known: str) -> None:
    for name in found:
        if name not in known:
            raise ConfigurationError(f"{path}.{name}: there is no such field".lstrip("."))
