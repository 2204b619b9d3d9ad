"""Delete: at once, gracefully (Pods), or when the last finalizer is gone.

Source: staging apiserver pkg/registry/rest/delete.go, pkg/registry/generic/registry/store.go (Delete).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any, Final

from nanokube.api import errors, objects, strategy, timestamps
from nanokube.apiserver.admission import chain
from nanokube.apiserver.cache.item import Item, encode, splice
from nanokube.apiserver.cache.selection import Selection
from nanokube.apiserver.extensions import definitions
from nanokube.apiserver.registry.call import Call, DeleteOptions
from nanokube.apiserver.registry.registry import Registry, storage_of
from nanokube.storage.store import Conflict, NotFound

ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"
_ATTEMPTS: Final = 10
# Whose deletion upstream does not leave to what all kinds share; so their preconditions are told otherwise.
_OF_THEIR_OWN: Final = ("namespaces", "customresourcedefinitions.apiextensions.k8s.io")
_PARALLEL: Final = 64


async def delete(registry: Registry, call: Call, options: DeleteOptions) -> tuple[Item, bool]:
    """Delete the object of a call; return its last state and whether it is gone already. Raises ApiError."""
    resource = storage_of(call.resource)
    for _ in range(_ATTEMPTS):
        item = await registry.load(call)
        old = item.object()
        check_preconditions(call, old, options)
        attributes = chain.Attributes(
            chain.DELETE,
            call.user,
            resource,
            call.namespace,
            call.name,
            "",
            None,
            old,
            call.is_dry_run,
            call.warnings,
            call.resource,
            options.fields(),
            is_consequence=call.is_consequence,
        )
        await registry.admission.mutate(attributes)
        await registry.admission.validate(attributes)
        try:
            return await _delete(registry, call, item, options)
        except Conflict as err:
            if options.resource_version:
                raise errors.conflict(resource, call.name) from err
        except NotFound as err:
            raise errors.not_found(resource, call.name) from err
    raise errors.conflict(resource, call.name)


async def _delete(registry: Registry, call: Call, item: Item, options: DeleteOptions) -> tuple[Item, bool]:
    resource = storage_of(call.resource)
    new = item.object()
    grace_s = strategy.deletion_grace(resource, new, options.grace_s)
    held = set(new["metadata"].get("finalizers") or ()) & {ORPHAN, FOREGROUND}
    _set_finalizers(new, options.propagation or ("" if held else strategy.default_propagation(resource)))
    if resource.name == "namespaces":
        is_held = bool((new.get("spec") or {}).get("finalizers"))
        new.setdefault("status", {})["phase"] = "Terminating"
    else:
        is_held = False
    if resource.name == definitions.NAME:
        definitions.begin_deletion(new, registry.now())
    is_held = is_held or grace_s > 0 or bool(new["metadata"].get("finalizers"))
    if not is_held:
        revision = await registry.remove(call, item.key, item.revision)
        if not call.is_dry_run:
            registry.hooks(resource).after_delete(new)
        return _last_state(registry, call, item, new, revision), True
    if resource.name in _OF_THEIR_OWN:
        new["metadata"].setdefault("deletionTimestamp", registry.now())
    else:
        _mark(registry, new, grace_s)
    before = item.object()
    for obj in (before, new):
        obj["metadata"].pop("resourceVersion", None)
    if new == before:
        if await registry.is_stale(call, item):
            raise Conflict(item.key, item.revision, 0)
        return item, False
    return await registry.commit(call, new, item.revision), False


def _last_state(registry: Registry, call: Call, item: Item, new: dict[str, Any], revision: int) -> Item:
    """Give what is answered of an object that is gone; of a Pod that its deletion began, too, as upstream."""
    if call.resource.name != "pods":
        return item.at(revision)
    _mark(registry, new, 0)
    return Item(item.key, splice(encode(new), revision), revision, item.create_revision)


def _mark(registry: Registry, new: dict[str, Any], grace_s: int) -> None:
    """Set or shorten the deletion: the timestamp is when the grace period ends."""
    metadata = new["metadata"]
    now = registry.clock.time()
    if not objects.is_deleting(new):
        strategy.begin_deletion(
            new, deletion_timestamp=timestamps.format_time(now + grace_s), grace_period_s=grace_s
        )
        return
    running = metadata.get("deletionGracePeriodSeconds") or 0
    if grace_s < running:
        began = timestamps.parse(metadata["deletionTimestamp"]) - running
        metadata["deletionTimestamp"] = timestamps.format_time(began + grace_s)
        metadata["deletionGracePeriodSeconds"] = grace_s


def _set_finalizers(new: dict[str, Any], propagation: str) -> None:
    if not propagation:
        return
    kept = [f for f in new["metadata"].get("finalizers") or () if f not in (ORPHAN, FOREGROUND)]
    added = {"Orphan": [ORPHAN], "Foreground": [FOREGROUND]}.get(propagation, [])
    if kept or added:
        new["metadata"]["finalizers"] = kept + added
    else:
        new["metadata"].pop("finalizers", None)


def check_preconditions(call: Call, old: dict[str, Any], options: DeleteOptions) -> None:
    """Compare what the client says of the object it deletes. Raises ApiError (409)."""
    metadata, resource = old["metadata"], storage_of(call.resource)
    for title, wanted, live, changed in (
        ("UID", options.uid, metadata["uid"], "deleted and then recreated"),
        ("ResourceVersion", options.resource_version, metadata["resourceVersion"], "modified"),
    ):
        if not wanted or wanted == live:
            continue
        if resource.name in _OF_THEIR_OWN:
            cause = f"Precondition failed: {title} in precondition: {wanted}, {title} in object meta: {live}"
            raise errors.conflict(resource, call.name, cause)
        cause = f"the {title} in the precondition ({wanted}) does not match the {title} in record ({live})"
        named = dataclasses.replace(resource, plural=resource.kind)  # as upstream names it here
        raise errors.conflict(named, call.name, f"{cause}. The object might have been {changed}")


async def delete_collection(
    registry: Registry, call: Call, selection: Selection, options: DeleteOptions
) -> list[Item]:
    """Delete what is selected; return the last states."""
    items = await registry.select(call.resource, selection)
    await delete_all(registry, call, items, options)
    return items


async def delete_all(registry: Registry, call: Call, items: Sequence[Item], options: DeleteOptions) -> None:
    """Delete objects of one kind. What others delete meanwhile is no error. Raises ApiError."""
    failures: list[errors.ApiError] = []

    async def one(item: Item) -> None:
        each = Call(
            call.user,
            call.resource,
            item.namespace,
            item.name,
            is_dry_run=call.is_dry_run,
            manager=call.manager,
            warnings=call.warnings,
        )
        try:
            await delete(registry, each, options)
        except errors.ApiError as err:
            if not errors.is_not_found(err):
                failures.append(err)

    # what holds of one object at most is not tried on others after it failed
    parallel = 1 if options.uid or options.resource_version else _PARALLEL
    for start in range(0, len(items), parallel):
        async with asyncio.TaskGroup() as group:
            for item in items[start : start + parallel]:
                group.create_task(one(item))
        if failures:
            raise failures[0]
