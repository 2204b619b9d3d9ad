"""Which resources this server serves: the built-in ones, and what CustomResourceDefinitions add at run time.

Looking one up costs the same for both: they are in one table. What a definition adds is made anew when the
definition changes; watches of what it was before end, and their clients begin again.
Source: staging apiextensions-apiserver pkg/apiserver/customresource_handler.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import logging
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import orjson

from nanokube.api import objects, resource_metrics, resources
from nanokube.api.custom import resource as custom_resources
from nanokube.api.custom import versions
from nanokube.api.resources import Resource
from nanokube.apiserver.cache.cache import DELETED, Cache, Change
from nanokube.apiserver.extensions import definitions
from nanokube.apiserver.extensions.freshness import Freshness

log = logging.getLogger(__name__)

SETTLING_TICKS: Final = (
    2  # of 10 s each; servers hear of a change within milliseconds, unless they are in trouble
)
_WRITING: Final = frozenset(("create", "update", "patch"))

# What is used is no object of the store, and no APIService of ours: whoever brings one takes it over.
BUILT_IN: Final = (*resources.ALL, *resource_metrics.ROWS)
_numbers = itertools.count(1)


class Definition:
    """One definition as it is served.

    since: revision after which objects were written under it, so that their bytes need neither pruning nor
    defaults. number: tells this state of the definition from others, of any definition.
    """

    def __init__(self, crd: Mapping[str, Any], since: int) -> None:
        spec = crd["spec"]
        self.name = objects.name(crd)
        self.crd = crd
        self._since = since
        self._freshness: Freshness | None = None
        self.number = next(_numbers)
        self.watches: weakref.WeakSet[asyncio.Timeout] = weakref.WeakSet()
        all_served = {**spec, "versions": [{**v, "served": True} for v in spec["versions"]]}
        all_served["names"] = {**spec["names"], **((crd.get("status") or {}).get("acceptedNames") or {})}
        found = custom_resources.resources_of({**crd, "spec": all_served})
        self.versions: Mapping[str, Resource] = {
            r.version: dataclasses.replace(r, stored_as="") for r in found
        }
        self._schemas = {v["name"]: v.get("schema") for v in spec["versions"]}
        served = [v["name"] for v in spec["versions"] if v.get("served")]
        self.served: Sequence[Resource] = [self.versions[name] for name in served]
        self.storage: Resource = self.versions[next(v["name"] for v in spec["versions"] if v.get("storage"))]
        self._fronts = {
            v: b'{"kind":"%b","apiVersion":"%b",' % (r.kind.encode(), r.api_version.encode())
            for v, r in self.versions.items()
        }
        conversion = spec.get("conversion") or {}
        is_webhook = conversion.get("strategy") == "Webhook"
        self.webhook: Mapping[str, Any] | None = conversion.get("webhook") if is_webhook else None

    @property
    def since(self) -> int:
        """The revision up to which objects may have been written under another state of the definition."""
        return self._since

    @since.setter
    def since(self, revision: int) -> None:
        self._since = revision
        self._forget()

    def is_whole(self, cache: Cache, version: str) -> bool:
        """Tell whether all objects in the cache go out in a version as they are stored."""
        if version != self.storage.version:
            return False
        if self._freshness is None:
            self._freshness = Freshness(self, cache)
        return self._freshness.is_whole

    def _forget(self) -> None:
        if self._freshness is not None:
            self._freshness.close()
            self._freshness = None

    @cached_property
    def digest(self) -> bytes:
        """Tells apart what definitions say, the same on all servers."""
        return hashlib.sha256(orjson.dumps(_essence(self.crd), option=orjson.OPT_SORT_KEYS)).digest()

    def front(self, version: str) -> bytes:
        """Give the first bytes of objects stored in a version."""
        return self._fronts[version]

    def has_same_schema(self, one: str, other: str) -> bool:
        """Tell whether objects of one version, but for its name, are objects of the other."""
        return one == other or bool(self._schemas.get(one) == self._schemas.get(other))

    @property
    def is_terminating(self) -> bool:
        """Whether the definition is being deleted, and its objects with it."""
        return definitions.is_true(self.crd, definitions.TERMINATING)

    def listed(self) -> Sequence[Resource]:
        """Give what discovery shows: what makes and changes objects is not told of while all are deleted."""
        if not self.is_terminating:
            return self.served
        return [
            dataclasses.replace(r, verbs=tuple(v for v in r.verbs if v not in _WRITING)) for r in self.served
        ]

    def is_same(self, crd: Mapping[str, Any]) -> bool:
        """Tell whether a new state of the definition serves the same."""
        return _essence(crd) == _essence(self.crd)

    def end(self) -> None:
        """End the watches of what is not served like this any more."""
        self._forget()
        for watch in tuple(self.watches):
            with contextlib.suppress(RuntimeError):  # it has ended
                watch.reschedule(0.0)
        self.watches.clear()


class Kinds:
    """The table. listeners: called after each change.

    is_shared: other servers write too, and hear of a changed definition a moment later or earlier.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        self._is_shared = is_shared
        self._settling: dict[str, int] = {}  # by name: ticks until all servers know of a change
        self._by_path = {(r.group, r.version, r.plural): r for r in BUILT_IN}
        self._by_kind = {(r.api_version, r.kind): r for r in BUILT_IN}
        self._definitions: dict[str, Definition] = {}
        self._all: Sequence[Resource] = BUILT_IN
        self.generation = 0
        self.listeners: list[Callable[[], None]] = []

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource of a URL path, if it is served."""
        return self._by_path.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource whose objects have that apiVersion and kind, if it is served."""
        return self._by_kind.get((api_version, kind))

    def all(self) -> Sequence[Resource]:
        """List what discovery shows: built in first, then custom by group, the preferred version first."""
        return self._all

    def definition(self, name: str) -> Definition | None:
        """Return the definition of a custom resource by storage name."""
        return self._definitions.get(name)

    def definitions(self) -> Iterable[Definition]:
        """Yield all that is served by definition."""
        return self._definitions.values()

    def definition_of(self, resource: Resource) -> Definition:
        """Return the definition of a custom resource. Raises KeyError."""
        return self._definitions[resource.storage_name]

    # Following the definitions.

    def load(self, crds: Iterable[Mapping[str, Any]], revision: int) -> None:
        """Serve what is stored when the server starts."""
        for crd in crds:
            self._take(crd, revision)
        self._publish()

    def offer(self, change: Change) -> None:
        """A definition was written or deleted."""
        crd = change.item.object()
        if change.type == DELETED:
            gone = self._definitions.pop(change.item.name, None)
            if gone is None:
                return
            gone.end()
        elif not self._take(crd, change.revision):
            return
        self._publish()

    def tick(self, now: float, revision: int) -> None:
        """Trust what is written from now on under definitions that changed some ticks ago."""
        for name in tuple(self._settling):
            self._settling[name] -= 1
            if not self._settling[name]:
                del self._settling[name]
                if name in self._definitions:
                    self._definitions[name].since = revision

    def soil(self, name: str, revision: int) -> None:
        """An object was written at revision by who did not know of a change of its definition."""
        found = self._definitions.get(name)
        if found is not None:
            found.since = max(found.since, revision)

    def _take(self, crd: Mapping[str, Any], revision: int) -> bool:
        """Serve a definition; tell whether that changed anything."""
        name = objects.name(crd)
        old = self._definitions.get(name)
        if not definitions.is_true(crd, definitions.ESTABLISHED):
            if old is not None:
                del self._definitions[name]
                old.end()
            return old is not None
        if old is not None and old.is_same(crd):
            was_terminating, old.crd = old.is_terminating, crd
            return old.is_terminating != was_terminating
        try:
            new = Definition(crd, sys.maxsize if self._is_shared else revision)
        except Exception:
            log.exception("custom resource not served: name=%s", name)
            return False
        self._definitions[name] = new
        if self._is_shared:
            self._settling[name] = SETTLING_TICKS
        if old is not None:
            old.end()
        return True

    def _publish(self) -> None:
        served = [r for d in self._definitions.values() for r in d.served]
        listed = [r for d in self._definitions.values() for r in d.listed()]
        listed.sort(key=lambda r: (r.group, versions.rank(r.version), r.plural))
        self._all = (*BUILT_IN, *listed)
        self._by_path = {(r.group, r.version, r.plural): r for r in (*served, *BUILT_IN)}
        self._by_kind = {(r.api_version, r.kind): r for r in (*served, *BUILT_IN)}
        self.generation += 1
        for listener in self.listeners:
            listener()


def _essence(crd: Mapping[str, Any]) -> tuple[Any, Any]:
    return crd["spec"], (crd.get("status") or {}).get("acceptedNames")
