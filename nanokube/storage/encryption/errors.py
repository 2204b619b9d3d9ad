"""What goes wrong between the API server and an encrypted store."""

from __future__ import annotations

from nanokube.storage.store import StoreError, Unavailable


class Unreadable(StoreError):
    """A stored value cannot be decrypted: its key is missing or another, or it was changed."""


class SeedUnknown(StoreError):
    """The plugin must be asked for the key first, which takes time."""


class PluginError(Unavailable):
    """The key management service's plugin cannot be used; the message names it."""
