"""Brings CustomResourceDefinitions into service and out of it.

    written ── names accepted, conditions, Established ── served (kinds.py)
    deleted ── Terminating ── all objects deleted, and gone ── finalizer removed ── gone

Source: staging apiextensions-apiserver pkg/controller/{status,establish,apiapproval,finalizer}.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Never

from nanokube.api import errors, objects, resources
from nanokube.apiserver.authn.user import OWN
from nanokube.apiserver.cache.cache import DELETED, Cache, Change
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.cache.selection import Selection
from nanokube.apiserver.endpoints.subresources import no_check
from nanokube.apiserver.extensions import definitions
from nanokube.apiserver.registry import delete, update
from nanokube.apiserver.registry.call import Call, DeleteOptions
from nanokube.apiserver.registry.registry import Registry
from nanokube.kit import tasks

log = logging.getLogger(__name__)

RETRY_S: Final = 1.0
PATIENCE_S: Final = 60.0  # how long objects with finalizers may take before the condition says so


class Lifecycle:
    """Follows the definitions; there are few, so that each is looked at whenever one of its group changes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._pending: dict[str, None] = {}
        self._accepted: dict[
            str, Mapping[str, Any]
        ] = {}  # names, by definition: definitions can have megabytes
        self._disputed: set[str] = set()
        self._ending: set[str] = set()
        self._changed = asyncio.Event()

    def offer(self, change: Change) -> None:
        """A definition changed."""
        name = change.item.name
        before = self._accepted.pop(name, None)
        self._disputed.discard(name)
        if change.type != DELETED:
            self._note(change.item)
        self._add(name)
        if before != self._accepted.get(name):
            for mate in self._mates(name):
                if mate in self._disputed:  # its names may be free now
                    self._add(mate)

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""

    @property
    def _cache(self) -> Cache:
        return self._registry.caches.of(definitions.NAME)

    async def run(self) -> Never:
        """Catch up with what is stored, then follow changes, for ever."""
        detach = self._cache.attach(self)
        try:
            for item in self._cache.scan():
                self._note(item)
                self._add(item.name)
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._changed.wait()
                    self._changed.clear()
                    pending, self._pending = self._pending, {}
                    for name in pending:
                        await self._look(name, group)
        finally:
            detach()
        raise AssertionError("unreachable")

    def _add(self, name: str) -> None:
        self._pending[name] = None
        self._changed.set()

    async def _look(self, name: str, group: asyncio.TaskGroup) -> None:
        crd = self._registry.find(definitions.NAME, name)
        if crd is None:
            return
        if objects.is_deleting(crd):
            if name not in self._ending and definitions.FINALIZER in objects.finalizers(crd):
                self._ending.add(name)
                group.create_task(self._end(name), name=f"end definition {name}")
            return
        try:
            await self._settle(name)
        except errors.ApiError as err:
            if not errors.is_not_found(err):
                log.warning("definition not settled: name=%s error=%s", name, err.message)
                asyncio.get_running_loop().call_later(RETRY_S, self._add, name)
        except Exception:  # one definition that we read wrong must not end the others, and the server
            log.exception("definition not settled: name=%s", name)

    def _note(self, item: Item) -> None:
        """Remember the names of a definition, and whether it waits for others."""
        crd = item.object()
        self._accepted[item.name] = (crd.get("status") or {}).get("acceptedNames") or {}
        if not definitions.is_true(crd, definitions.NAMES_ACCEPTED):
            self._disputed.add(item.name)

    def _mates(self, name: str) -> list[str]:
        """List the other definitions of a definition's group."""
        group = name.partition(".")[2]
        return [each for each in self._accepted if each != name and each.partition(".")[2] == group]

    async def _settle(self, name: str) -> None:
        def change(crd: dict[str, Any]) -> dict[str, Any]:
            mates = [self._accepted[mate] for mate in self._mates(name)]
            definitions.settle(crd, mates, self._registry.now())
            return crd

        await self._update(name, change)

    async def _update(self, name: str, change: update.Transform) -> None:
        resource = resources.get(definitions.NAME)
        call = Call(OWN, resource, "", name, "status", manager="kube-apiserver")
        await update.update(
            self._registry, call, change, prepare=lambda new, old: None, check=no_check, shares=True
        )

    # The end.

    async def _end(self, name: str) -> None:
        """Delete all objects of a definition, then let it go; again until that is done."""
        try:
            while True:
                try:
                    await self._empty(name)
                    return
                except errors.ApiError as err:
                    if errors.is_not_found(err) and self._registry.find(definitions.NAME, name) is None:
                        return
                    log.warning("definition not ended: name=%s error=%s", name, err.message)
                except Exception:
                    tasks.recover()
                    log.exception("definition not ended: name=%s", name)
                await asyncio.sleep(RETRY_S)
        finally:
            self._ending.discard(name)

    async def _empty(self, name: str) -> None:
        doing = "CustomResource deletion is in progress"
        await self._terminate(name, ("True", "InstanceDeletionInProgress", doing))
        served = self._registry.kinds.definition(name)
        if served is None:
            done = ("False", "NeverEstablished", "resource was never established")
        else:
            resource = served.storage
            call = Call(OWN, resource, manager="kube-apiserver")
            try:
                await delete.delete_collection(self._registry, call, Selection(), DeleteOptions())
            except errors.ApiError as err:
                cause = f"could not issue all deletes: {err.message}"
                await self._terminate(name, ("True", "InstanceDeletionFailed", cause))
                raise
            await self._wait(name)
            done = ("False", "InstanceDeletionCompleted", "removed all instances")
        await self._terminate(name, done, is_over=True)

    async def _wait(self, name: str) -> None:
        """Wait until no object is left. Raises ApiError when that takes too long."""
        cache = self._registry.caches.of(name)
        gone = _Gone()
        detach = cache.attach(gone)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(cache):
                    gone.event.clear()
                    await gone.event.wait()
        except TimeoutError as err:
            cause = "could not confirm zero CustomResources remaining: timed out waiting for the condition"
            await self._terminate(name, ("True", "InstanceDeletionCheck", cause))
            raise errors.internal(cause) from err
        finally:
            detach()

    async def _terminate(self, name: str, said: tuple[str, str, str], *, is_over: bool = False) -> None:
        def change(crd: dict[str, Any]) -> dict[str, Any]:
            definitions.set_condition(crd, (definitions.TERMINATING, *said), self._registry.now())
            if is_over:
                kept = [f for f in objects.finalizers(crd) if f != definitions.FINALIZER]
                crd["metadata"]["finalizers"] = kept
                if not kept:
                    del crd["metadata"]["finalizers"]
            return crd

        await self._update(name, change)


class _Gone:
    """Notes that an object went."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def offer(self, change: Change) -> None:
        """An object changed."""
        if change.type == DELETED:
            self.event.set()

    def tick(self, now: float, revision: int) -> None:
        """Nothing depends on time."""
