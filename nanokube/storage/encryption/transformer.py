"""Values on their way into the store and out of it: which cipher, told by the prefix of what is stored.

    k8s:enc:aesgcm:v1:<key>:...   k8s:enc:kms:v2:<plugin>:...   {"apiVersion": ...

What is stored under any key of the configuration can be read, whatever resource it was given for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from nanokube.kit.clock import Clock
from nanokube.storage.encryption.ciphers import AesCbc, AesGcm, Cipher, Secretbox, Wrong
from nanokube.storage.encryption.configuration import Configuration, Kms, Local, Provider
from nanokube.storage.encryption.errors import Unreadable
from nanokube.storage.encryption.plugin import Plugin
from nanokube.storage.encryption.prefix import ENCRYPTED, prefix_of, resource_of, spoken

# Below ROOT, but no resource: leases of servers, and claims of Services' addresses.
INTERNAL: Final = frozenset(("masterleases", "serviceclaims"))
_CIPHERS: Final[Mapping[str, Callable[[bytes], Cipher]]] = {
    "aesgcm": AesGcm,
    "aescbc": AesCbc,
    "secretbox": Secretbox,
}


@dataclass(frozen=True, slots=True)
class Way:
    """How values are encrypted: what stands before them, and by what. plugin: the cipher, of such a key."""

    prefix: bytes
    cipher: Cipher | None = None
    plugin: Plugin | None = None

    def seal(self, place: str, plain: bytes) -> bytes:
        """Encrypt. Raises PluginError."""
        by = self.cipher or self.plugin
        return self.prefix + by.seal(place, plain) if by is not None else plain


PLAIN: Final = Way(b"")


class Transformer:
    """All ways of one configuration. plugins: those that are open already, by their settings."""

    def __init__(
        self, config: Configuration, clock: Clock, plugins: Mapping[Kms, Plugin] | None = None
    ) -> None:
        self.config = config
        self.plugins = dict(plugins or {})
        self._ways: dict[Provider, list[Way]] = {}
        for providers in config.rules.values():
            for provider in providers:
                if provider not in self._ways:
                    self._ways[provider] = list(self._made(provider, clock))
        used = {way.plugin for way in self._all() if way.plugin is not None}
        self.plugins = {kms: plugin for kms, plugin in self.plugins.items() if plugin in used}
        self._reading: dict[bytes, list[Way]] = {}
        for way in self._all():
            if way.prefix:
                self._reading.setdefault(way.prefix, []).append(way)
        self._writing: dict[str, Way] = {}

    def seal(self, place: str, plain: bytes) -> bytes:
        """Encrypt what is written at a key, if it is to be. Raises PluginError."""
        return self._way(place).seal(place, plain)

    def unseal(self, place: str, stored: bytes, *, may_ask: bool = False) -> bytes:
        """Decrypt what was read from a key.

        may_ask: a plugin, which blocks. Raises Unreadable, SeedUnknown, PluginError.
        """
        if not stored.startswith(ENCRYPTED):
            return stored
        prefix = prefix_of(stored)
        ways = self._reading.get(prefix)
        if not ways:
            raise Unreadable(f"cannot read {place}: it is encrypted by {spoken(prefix)}, which is not there")
        for way in ways:
            sealed = stored[len(prefix) :]
            try:
                if way.plugin is not None:
                    return way.plugin.unseal(place, sealed, may_ask=may_ask)
                assert way.cipher is not None
                return way.cipher.unseal(place, sealed)
            except Wrong:
                continue
        raise Unreadable(
            f"cannot read {place}: {spoken(prefix)} is not the one it was encrypted by, or it was changed"
        )

    def is_current(self, place: str, stored: bytes) -> bool:
        """Tell whether a value would be written again the way it is stored."""
        way = self._way(place)
        prefix = prefix_of(stored)
        if prefix != way.prefix:
            return False
        if way.plugin is None:
            return True
        return way.plugin.is_current(stored[len(prefix) :])

    def failures(self) -> list[str]:
        """Say what is wrong with plugins."""
        return [plugin.failure for plugin in self.plugins.values() if plugin.failure]

    def poll(self) -> None:
        """Ask the plugins that were not asked yet. Blocks. Raises PluginError."""
        for plugin in self.plugins.values():
            if not plugin.key_id:
                plugin.poll()

    def _way(self, place: str) -> Way:
        name = resource_of(place)
        found = self._writing.get(name)
        if found is None:
            resource, _, group = name.partition(".")
            providers = self.config.providers(group, resource) if name not in INTERNAL | {""} else ()
            found = self._writing[name] = self._ways[providers[0]][0] if providers else PLAIN
        return found

    def _all(self) -> Iterator[Way]:
        for ways in self._ways.values():
            yield from ways

    def _made(self, provider: Provider, clock: Clock) -> Iterator[Way]:
        if isinstance(provider, Kms):
            plugin = self.plugins.get(provider)
            if plugin is None:
                plugin = self.plugins[provider] = Plugin(provider, clock)
            yield Way(ENCRYPTED + f"kms:v2:{provider.name}:".encode(), plugin=plugin)
        elif isinstance(provider, Local):
            for key in provider.keys:
                prefix = ENCRYPTED + f"{provider.kind}:v1:{key.name}:".encode()
                yield Way(prefix, _CIPHERS[provider.kind](key.secret))
        else:
            yield PLAIN
