"""What is configured, by what it is about: a write that nothing is about costs one look into a dict.

Whether a rule is about a request depends on little: operation, resource, subresource. So it is found out once
for each combination that occurs, and again when a configuration or a definition of resources changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from nanokube.api.resources import Resource
from nanokube.apiserver.admission.chain import Attributes
from nanokube.apiserver.admission.matching import rules
from nanokube.apiserver.cache.caches import Caches

T = TypeVar("T")
DEFINITIONS: Final = "customresourcedefinitions.apiextensions.k8s.io"
_MAX_KINDS: Final = 4096  # of requests; operations times resources times subresources are fewer

Key = tuple[str, str, str, str]


class Table(Generic[T]):
    """sources: storage names of what is configured. select: of (operation, resource, subresource).

    load: called when a source changed, before select is.
    """

    def __init__(
        self,
        caches: Caches,
        sources: Sequence[str],
        load: Callable[[], None],
        select: Callable[[str, Resource, str], T],
    ) -> None:
        self._caches = [caches.of(name) for name in sources]
        self._definitions = caches.of(DEFINITIONS)
        self._load = load
        self._select = select
        self._stamp: tuple[int, ...] = ()
        self._defined = 0
        self._found: dict[Key, T] = {}

    def find(self, attributes: Attributes) -> T | None:
        """Give what is configured for such a request; None for requests that configure admission."""
        resource = attributes.requested or attributes.resource
        if rules.is_exempt(resource):
            return None
        self.refresh()
        key = (attributes.operation, resource.name, resource.version, attributes.subresource)
        try:
            return self._found[key]
        except KeyError:
            if len(self._found) >= _MAX_KINDS:
                self._found.clear()
            found = self._found[key] = self._select(attributes.operation, resource, attributes.subresource)
            return found

    def refresh(self) -> None:
        """Load what is configured if it changed."""
        stamp = tuple([cache.changed for cache in self._caches])
        if stamp != self._stamp or self._defined != self._definitions.changed:
            if stamp != self._stamp:
                self._load()
            self._stamp, self._defined = stamp, self._definitions.changed
            self._found.clear()
