"""Keeps a controller from deciding on a cache that is older than its own last write."""

from nanokube.api import objects
from nanokube.api.objects import Object


class RevisionGuard:
    """The resourceVersion of the last write a key."""

    def __init__(self) -> None:
        self._written: dict[str, int] = {}

    def wrote(self, key: str, answer: Object) -> None:
        """Note the server's answer to a write."""
        self._written[key] = int(objects.resource_version(answer) or 0)

    def is_seen(self, key: str, cached: Object) -> bool:
        """Tell whether the cache has caught up with the last write."""
        return int(objects.resource_version(cached) or 0) >= self._written.get(key, 0)

    def forget(self, key: str) -> None:
        """Drop a key whose object is gone."""
        self._written.pop(key, None)
