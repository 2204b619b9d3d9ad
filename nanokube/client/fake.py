"""An API server in memory, behind the ApiClient interface: for tests of everything that uses a client.

It keeps what the real one promises and its users rely on: resourceVersion and conflicts, generation, status
apart from spec, finalizers and graceful deletion, selectors, watch from a revision with 410, binding. It
does not default, validate, authorize or admit.
"""

import asyncio
import collections
import itertools
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson

from nanokube.api import errors, objects, resources, selectors, timestamps
from nanokube.api.objects import Object
from nanokube.client import fake_patch, fake_rules
from nanokube.client.interface import ObjectList, PatchKind, WatchEvent
from nanokube.kit import clock

Found = list[dict[str, Any]]


class FakeClient:
    """A whole server and its client in one; several components may share an instance.

    requests: one line a call, "verb resource key", reads excepted.
    """

    def __init__(self, *seed: Object, time: clock.Clock | None = None) -> None:
        self.requests: list[str] = []
        self.known: list[resources.Resource] = list(resources.ALL)
        self._clock = time or clock.ManualClock()
        self._objects: dict[str, dict[str, dict[str, Any]]] = {}
        self._revision = 0
        self._oldest = 0
        self._uids = itertools.count(1)
        self._history: list[tuple[int, str, str, dict[str, Any] | None, dict[str, Any]]] = []
        self._watchers: set[asyncio.Event] = set()
        self._epoch = 0
        self._failures: collections.deque[tuple[str, str, BaseException]] = collections.deque()
        for obj in seed:
            self.put(obj)

    # What tests do to the server.

    def put(self, obj: Object) -> dict[str, Any]:
        """Create or replace an object, status included, whatever its resourceVersion."""
        resource = self.resource_of(obj)
        new = objects.copy(dict(obj))
        old = self._table(resource).get(objects.key(new))
        meta = new.setdefault("metadata", {})
        meta.setdefault("uid", objects.uid(old) if old else f"uid-{next(self._uids)}")
        meta.setdefault("creationTimestamp", timestamps.format_time(self._clock.time()))
        if resource.has_generation:
            meta.setdefault("generation", 1)
        return self._write(resource, old, new)

    def remove(self, resource: resources.Resource, key: str) -> None:
        """Take an object away at once, whatever its finalizers and grace."""
        old = self._table(resource)[key]
        self._erase(resource, old)

    def read(self, resource: resources.Resource, key: str) -> dict[str, Any] | None:
        """Look an object up without a request."""
        found = self._table(resource).get(key)
        return objects.copy(found) if found is not None else None

    def all(self, resource: resources.Resource, namespace: str = "") -> Found:
        """Give all objects of a resource in the order they were made, without a request."""
        return [
            objects.copy(obj)
            for obj in self._table(resource).values()
            if not namespace or objects.namespace(obj) == namespace
        ]

    def fail_next(self, verb: str, resource: resources.Resource, error: BaseException) -> None:
        """Let the next call of verb ("create", "update", ...) on resource raise error."""
        self._failures.append((verb, resource.name, error))

    def disconnect(self) -> None:
        """Break every watch, as a server that was killed does."""
        self._epoch += 1
        self._notify()

    def compact(self) -> None:
        """Forget history: watches from before now answer 410."""
        self._oldest = self._revision
        self._history.clear()

    def resource_of(self, obj: Object) -> resources.Resource:
        """Find the resource of an object by its apiVersion and kind."""
        wanted = (obj["apiVersion"], obj["kind"])
        return next(found for found in self.known if (found.api_version, found.kind) == wanted)

    # The ApiClient interface.

    async def get(
        self, resource: resources.Resource, name: str, namespace: str = "", *, subresource: str = ""
    ) -> dict[str, Any]:
        await self._begin("get", resource, "")
        return _copy(self._existing(resource, name, namespace))

    async def list(
        self,
        resource: resources.Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
    ) -> ObjectList:
        await self._begin("list", resource, "")
        chosen = _Selection(namespace, label_selector, field_selector)
        items = [_copy(obj) for obj in self._table(resource).values() if chosen.has(obj)]
        return ObjectList(items, str(self._revision))

    async def watch(
        self,
        resource: resources.Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        allow_bookmarks: bool = True,
        timeout_s: int = 0,
    ) -> AsyncGenerator[WatchEvent, None]:
        await self._begin("watch", resource, "")
        chosen = _Selection(namespace, label_selector, field_selector)
        seen, epoch = int(resource_version or self._revision), self._epoch
        if seen < self._oldest:
            raise errors.too_old(seen, self._oldest)
        wake = asyncio.Event()
        self._watchers.add(wake)
        try:
            while True:
                for revision, name, change, old, new in list(self._history):
                    if revision <= seen:
                        continue
                    seen = revision
                    if name == resource.storage_name:
                        event = chosen.event(change, old, new)
                        if event is not None:
                            yield event
                await wake.wait()
                wake.clear()
                if epoch != self._epoch:
                    raise ConnectionResetError("watch broken")
        finally:
            self._watchers.discard(wake)

    async def create(
        self,
        resource: resources.Resource,
        obj: Object,
        namespace: str = "",
        *,
        subresource: str = "",
        name: str = "",
    ) -> dict[str, Any]:
        new = _copy(dict(obj))
        meta = new.setdefault("metadata", {})
        if resource.namespaced and namespace:
            meta.setdefault("namespace", namespace)
        if subresource:
            await self._begin("create", resource, f"{objects.join_key(namespace, name)}/{subresource}")
            return self._create_below(resource, new, namespace, name or objects.name(new), subresource)
        if not meta.get("name"):
            meta["name"] = f"{meta.get('generateName', '')}{next(self._uids):05d}"
        await self._begin("create", resource, objects.key(new))
        if objects.key(new) in self._table(resource):
            raise errors.already_exists(resource, meta["name"])
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", resource.kind)
        for field in ("uid", "resourceVersion", "deletionTimestamp"):
            meta.pop(field, None)
        meta["uid"] = f"uid-{next(self._uids)}"
        meta["creationTimestamp"] = timestamps.format_time(self._clock.time())
        fake_rules.on_create(resource, new)
        return _copy(self._write(resource, None, new))

    async def update(
        self, resource: resources.Resource, obj: Object, *, subresource: str = ""
    ) -> dict[str, Any]:
        await self._begin("update", resource, _below(objects.key(obj), subresource))
        old = self._existing(resource, objects.name(obj), objects.namespace(obj))
        return self._replace(resource, old, _copy(dict(obj)), subresource)

    async def patch(
        self,
        resource: resources.Resource,
        name: str,
        body: Any,
        namespace: str = "",
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> dict[str, Any]:
        await self._begin("patch", resource, _below(objects.join_key(namespace, name), subresource))
        key = objects.join_key(namespace if resource.namespaced else "", name)
        if kind is PatchKind.APPLY and key not in self._table(resource):
            return await self.create(
                resource, {**body, "metadata": {**body["metadata"], "name": name}}, namespace
            )
        old = self._existing(resource, name, namespace)
        return self._replace(resource, old, fake_patch.patched(_copy(old), body, kind), subresource)

    async def delete(
        self,
        resource: resources.Resource,
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> dict[str, Any]:
        await self._begin("delete", resource, objects.join_key(namespace, name))
        old = self._existing(resource, name, namespace)
        if uid and uid != objects.uid(old):
            raise errors.conflict(resource, name, f"the UID in the precondition ({uid}) does not match")
        if resource_version and resource_version != objects.resource_version(old):
            raise errors.conflict(resource, name)
        now = timestamps.format_time(self._clock.time())
        new = fake_rules.on_delete(resource, _copy(old), grace_period_s, propagation, now)
        if new is None:
            self._erase(resource, old)
            return {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        return _copy(self._write(resource, old, new) if new != old else old)

    async def delete_collection(
        self,
        resource: resources.Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        grace_period_s: int | None = None,
        propagation: str = "",
    ) -> None:
        chosen = _Selection(namespace, label_selector, field_selector)
        for obj in [obj for obj in self._table(resource).values() if chosen.has(obj)]:
            await self.delete(
                resource,
                objects.name(obj),
                objects.namespace(obj),
                grace_period_s=grace_period_s,
                propagation=propagation,
            )

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        if (method, path) in (("GET", "/api"), ("GET", "/apis")):
            return orjson.dumps(fake_rules.discovery(self.known, core=path == "/api"))
        raise errors.no_such_path()

    # Inside.

    def _table(self, resource: resources.Resource) -> dict[str, dict[str, Any]]:
        return self._objects.setdefault(resource.storage_name, {})

    async def _begin(self, verb: str, resource: resources.Resource, key: str) -> None:
        await asyncio.sleep(0)  # a request always lets others run: hides no race a real one would show
        if key:
            self.requests.append(f"{verb} {resource.plural} {key}")
        for failure in self._failures:
            if failure[:2] == (verb, resource.name):
                self._failures.remove(failure)
                raise failure[2]

    def _existing(self, resource: resources.Resource, name: str, namespace: str) -> dict[str, Any]:
        found = self._table(resource).get(objects.join_key(namespace if resource.namespaced else "", name))
        if found is None:
            raise errors.not_found(resource, name)
        return found

    def _create_below(
        self, resource: resources.Resource, body: dict[str, Any], namespace: str, name: str, subresource: str
    ) -> dict[str, Any]:
        old = self._existing(resource, name, namespace)
        if subresource == "binding":
            if old["spec"].get("nodeName"):
                raise errors.conflict(resource, name, "pod is already assigned to a node")
            self._write(resource, old, fake_rules.bound(_copy(old), body["target"]["name"]))
        elif subresource == "eviction":
            self._erase(resource, old)
        else:
            raise errors.no_such_path()
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _replace(
        self, resource: resources.Resource, old: dict[str, Any], new: dict[str, Any], subresource: str
    ) -> dict[str, Any]:
        version = objects.resource_version(new)
        if version and version != objects.resource_version(old):
            raise errors.conflict(resource, objects.name(old))
        uid = objects.uid(new)
        if uid and uid != objects.uid(old):
            raise errors.conflict(resource, objects.name(old), "Precondition failed: UID in precondition")
        new = fake_rules.on_update(resource, old, new, subresource)
        if objects.is_deleting(new) and fake_rules.may_go(resource, new):
            self._erase(resource, {**old, **new})
            return new
        return _copy(self._write(resource, old, new) if new != old else old)

    def _write(
        self, resource: resources.Resource, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> dict[str, Any]:
        self._revision += 1
        new["metadata"]["resourceVersion"] = str(self._revision)
        self._table(resource)[objects.key(new)] = new
        self._record(resource, "MODIFIED" if old else "ADDED", old, new)
        return new

    def _erase(self, resource: resources.Resource, old: dict[str, Any]) -> None:
        self._revision += 1
        self._table(resource).pop(objects.key(old))
        last = _copy(old)
        last["metadata"]["resourceVersion"] = str(self._revision)
        self._record(resource, "DELETED", old, last)

    def _record(
        self, resource: resources.Resource, change: str, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> None:
        self._history.append((self._revision, resource.storage_name, change, old, new))
        self._notify()

    def _notify(self) -> None:
        for watcher in self._watchers:
            watcher.set()


class _Selection:
    """What one list or watch shows."""

    def __init__(self, namespace: str, label_selector: str, field_selector: str) -> None:
        self._namespace = namespace
        self._labels = selectors.parse_labels(label_selector)
        self._fields = selectors.parse_fields(field_selector)

    def has(self, obj: Object) -> bool:
        if self._namespace and objects.namespace(obj) != self._namespace:
            return False
        return self._labels.matches(objects.labels(obj)) and self._fields.matches(
            lambda path: fake_rules.field(obj, path)
        )

    def event(self, change: str, old: Object | None, new: dict[str, Any]) -> WatchEvent | None:
        """Translate a change for a watcher: entering the selection is ADDED, leaving it DELETED."""
        before, after = old is not None and self.has(old), self.has(new) and change != "DELETED"
        if before and after:
            return WatchEvent("MODIFIED", _copy(new))
        if after:
            return WatchEvent("ADDED", _copy(new))
        return WatchEvent("DELETED", _copy(new)) if before else None


def _copy(obj: Any) -> dict[str, Any]:
    copied: dict[str, Any] = objects.copy(obj)
    return copied


def _below(key: str, subresource: str) -> str:
    return f"{key}/{subresource}" if subresource else key
