"""The garbage collector: deletes what its owners left behind, and orders deletion between them.

    background   the owner goes; each dependent, finding its owner absent, is deleted in turn
    foreground   the owner stays (finalizer foregroundDeletion) until every dependent that blocks it is gone
    orphan       the owner stays (finalizer orphan) until its dependents no longer name it

The graph tells where to look. Before anything is deleted, the object and each of its owners are read from
the server: a cache that is behind costs a request, never an object.
Source: pkg/controller/garbagecollector/garbagecollector.go.
"""

import asyncio
import dataclasses
import logging
from typing import Any, Never

from nanokube.api import errors, objects, resources
from nanokube.api.objects import Object
from nanokube.client import discovery, informer, runner
from nanokube.client.interface import PatchKind
from nanokube.controllers.env import Env
from nanokube.controllers.garbage_graph import FOREGROUND, ORPHAN, Graph, Node, stripped
from nanokube.kit import tasks

log = logging.getLogger(__name__)

REDISCOVER_S = 30.0
UNSEEN_RETRY_S = 0.2
# A resource that cannot be listed for this long (its own server is down) no longer holds up all others.
UNSEEN_LIMIT_S = 30.0
# Of objects whose kind may go after them, so many are remembered to have gone.
REMEMBERED = 4096
# Changes of these change what there is to follow.
DEFINITIONS = {"customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io"}
# Events own nothing, are owned by nothing, and change all the time; upstream ignores them, too.
IGNORED = {"events", "events.events.k8s.io"}


@dataclasses.dataclass(slots=True)
class Owners:
    """An object's owner references, by what the server says of each owner."""

    solid: list[Object]
    absent: list[Object]
    waiting: list[Object]  # in foreground deletion: waits for this object


class GarbageCollector:
    """Follows every deletable resource and acts on the graph."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._graph = Graph()
        self._followed: dict[str, tuple[resources.Resource, informer.Informer]] = {}
        self._followed_at: dict[str, float] = {}
        self._kinds: dict[tuple[str, str], resources.Resource] = {}
        self._gone: dict[str, None] = {}  # uids
        self._look_again = asyncio.Event()
        self.runner = runner.Runner("garbage", self.reconcile, workers=8)

    async def run(self) -> Never:
        """Collect until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._discover(), name="garbage discovery")
            group.create_task(self.runner.run(), name="garbage")
        raise AssertionError("the garbage collector never ends")

    async def reconcile(self, uid: str) -> float | None:
        """Look at one object: does it wait for dependents, must it release them, has it an owner left?"""
        if not self._sees_everything():
            return UNSEEN_RETRY_S
        node = self._graph.nodes.get(uid)
        if node is None:
            return None
        if node.orphans_dependents:
            return await self._orphan(node)
        if node.deletes_dependents:
            return await self._delete_dependents(node)
        if node.is_deleting or not node.owners:
            return None
        if self._graph.is_kept(node):
            return None
        live = await self._read(node)
        if live is None:
            return None
        owners = await self._classify(node.namespace, objects.owner_references(live))
        if owners.solid:
            await self._release(node, live, [*owners.absent, *owners.waiting])
        elif owners.waiting or owners.absent:
            await self._collect(node, live, waited_for=bool(owners.waiting))
        return None

    # Deciding.

    async def _classify(self, namespace: str, references: list[Object]) -> Owners:
        owners = Owners([], [], [])
        for reference in references:
            owner = await self._owner(namespace, reference)
            if owner is None:
                owners.absent.append(reference)
            elif objects.is_deleting(owner) and FOREGROUND in objects.finalizers(owner):
                owners.waiting.append(reference)
            else:
                owners.solid.append(reference)
        return owners

    async def _owner(self, namespace: str, reference: Object) -> Object | None:
        """Read an owner; None when it is not there. Raises ApiError when nobody can tell."""
        resource = self._kinds.get((reference["apiVersion"], reference["kind"]))
        if resource is None:
            resource = resources.by_kind(reference["apiVersion"], reference["kind"])
        if resource is None:
            raise self._nobody_knows(reference)
        try:
            owner = await self._env.client.get(
                resource, reference["name"], namespace if resource.namespaced else ""
            )
        except errors.ApiError as err:
            if err.code != 404:
                raise
            if not err.details.get("name") and reference["uid"] not in self._gone:
                # No such path: the APIService went, and with it the way to the owner, not the owner.
                raise self._nobody_knows(reference) from err
            return None
        return owner if objects.uid(owner) == reference["uid"] else None

    def _nobody_knows(self, reference: Object) -> errors.ApiError:
        self._look_again.set()
        kind = f"{reference['kind']} {reference['apiVersion']}"
        return errors.service_unavailable(f"cannot look up owner {reference['name']}: unknown kind {kind}")

    # Acting.

    async def _collect(self, node: Node, live: Object, *, waited_for: bool) -> None:
        dependents = self._graph.dependents(node.uid)
        propagation = "Background"
        if waited_for and dependents:
            if any(found.deletes_dependents for found in dependents):
                # A ring, each waiting for the next: someone must stop blocking.
                live = await self._unblock(node, live)
            propagation = "Foreground"
        if ORPHAN in objects.finalizers(live):
            propagation = "Orphan"
        elif FOREGROUND in objects.finalizers(live):
            propagation = "Foreground"
        try:
            await self._env.client.delete(
                node.resource,
                node.name,
                node.namespace,
                propagation=propagation,
                uid=node.uid,
                resource_version=objects.resource_version(live),
            )
        except errors.ApiError as err:
            if err.code != 404:
                raise
        else:
            log.info("collected: resource=%s key=%s", node.resource.name, objects.key(live))

    async def _delete_dependents(self, node: Node) -> float | None:
        blocking = [found for found in self._graph.dependents(node.uid) if found.blocks(node.uid)]
        for found in self._graph.dependents(node.uid):
            if not found.is_deleting or (found.blocks(node.uid) and found.deletes_dependents):
                self.runner.queue.add(found.uid)
        if not blocking:
            await self._remove_finalizer(node, FOREGROUND)
        return None

    async def _orphan(self, node: Node) -> float | None:
        for found in self._graph.dependents(node.uid):
            live = await self._read(found)
            if live is not None:
                await self._release(
                    found, live, [r for r in objects.owner_references(live) if r["uid"] == node.uid]
                )
        await self._remove_finalizer(node, ORPHAN)
        return None

    async def _release(self, node: Node, live: Object, references: list[Object]) -> None:
        gone = {reference["uid"] for reference in references}
        if gone:
            kept = [dict(r) for r in objects.owner_references(live) if r["uid"] not in gone]
            await self._write_owners(node, live, kept)

    async def _unblock(self, node: Node, live: Object) -> Object:
        kept = [{**r, "blockOwnerDeletion": False} for r in objects.owner_references(live)]
        return await self._write_owners(node, live, kept)

    async def _write_owners(self, node: Node, live: Object, references: list[dict[str, Any]]) -> Object:
        return await self._patch_metadata(node, live, {"ownerReferences": references or None}) or live

    async def _remove_finalizer(self, node: Node, finalizer: str) -> None:
        live = await self._read(node)
        if live is not None and finalizer in objects.finalizers(live):
            kept = [name for name in objects.finalizers(live) if name != finalizer]
            await self._patch_metadata(node, live, {"finalizers": kept or None})

    async def _patch_metadata(self, node: Node, live: Object, fields: dict[str, Any]) -> Object | None:
        # The resourceVersion makes it a comparison: what changed meanwhile is not undone (409, retried).
        meta = {"uid": node.uid, "resourceVersion": objects.resource_version(live), **fields}
        try:
            return await self._env.client.patch(
                node.resource, node.name, {"metadata": meta}, node.namespace, kind=PatchKind.MERGE
            )
        except errors.ApiError as err:
            if err.code == 404:
                return None
            raise

    async def _read(self, node: Node) -> Object | None:
        try:
            live = await self._env.client.get(node.resource, node.name, node.namespace)
        except errors.ApiError as err:
            if err.code == 404:
                return None
            raise
        return live if objects.uid(live) == node.uid else None

    # Following.

    def _sees_everything(self) -> bool:
        """Tell whether every followed resource is listed: a graph with gaps would let owners go too early."""
        now = self._env.clock.monotonic()
        return bool(self._followed) and all(
            source.synced.is_set() or now - self._followed_at[name] > UNSEEN_LIMIT_S
            for name, (_, source) in self._followed.items()
        )

    async def _discover(self) -> Never:
        while True:
            self._look_again.clear()
            try:
                found = await discovery.resources_of(self._env.client)
            except (errors.ApiError, OSError) as err:
                log.debug("discovery failed: error=%s", tasks.describe(err))
                await asyncio.sleep(1.0)
                continue
            self._follow(found)
            try:
                async with asyncio.timeout(REDISCOVER_S):
                    await self._look_again.wait()
                await asyncio.sleep(1.0)  # a new definition is served a moment after it is written
            except TimeoutError:
                pass

    def _follow(self, found: list[resources.Resource]) -> None:
        """Begin to follow new resources; stop following those that are gone."""
        wanted = {
            resource.name: resource
            for resource in found
            if {"list", "watch", "delete", "patch"} <= set(resource.verbs) and resource.name not in IGNORED
        }
        self._kinds |= {(resource.api_version, resource.kind): resource for resource in found}
        for name, resource in wanted.items():
            if name not in self._followed:
                resource = resources.find(resource.group, resource.version, resource.plural) or resource
                source = self._env.informers.metadata_of(resource, stripped)
                self._followed[name] = (resource, source)
                self._followed_at[name] = self._env.clock.monotonic()
                source.subscribe(self._handler(resource))
        for name in [name for name in self._followed if name not in wanted]:
            resource, _ = self._followed.pop(name)
            if self._env.informers.is_metadata(resource):
                self._env.informers.drop(resource)
            self._graph.forget(resource)

    def _handler(self, resource: resources.Resource) -> informer.Handler:
        def handle(change: informer.Change, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
            if change == "DELETED":
                due = self._graph.remove(objects.uid(new))
                if resources.find(resource.group, resource.version, resource.plural) is None:
                    self._remember(objects.uid(new))
            else:
                due = self._graph.put(resource, new)
            for uid in due:
                self.runner.queue.add(uid)
            if resource.name in DEFINITIONS:
                self._look_again.set()

        return handle

    def _remember(self, uid: str) -> None:
        """Note that an object went, whose definition may go next."""
        self._gone[uid] = None
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]
