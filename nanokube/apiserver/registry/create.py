"""Create: defaults, admission, validation, a name, and the first revision.

Source: staging apiserver pkg/registry/rest/create.go, pkg/endpoints/handlers/create.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from nanokube.api import defaults, errors, facts, known_specs, objects, patch, strategy
from nanokube.api.known_specs import Known
from nanokube.api.resources import Resource
from nanokube.api.validation import pod, warnings, whole
from nanokube.apiserver.admission import chain
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.registry import judge, views
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.hooks import Lost
from nanokube.apiserver.registry.registry import Registry, storage_of
from nanokube.storage.store import KeyExists

_NAME_ATTEMPTS: Final = (
    8  # staging apiserver pkg/registry/generic/registry/store.go, maxNameGenerationCreateAttempts
)


_CLAIM_ATTEMPTS: Final = 10


async def create(registry: Registry, call: Call, obj: dict[str, Any], *, tracks: bool = True) -> Item:
    """Create an object (changed in place). tracks: record the writer in managedFields. Raises ApiError."""
    _check_metadata(call, obj)
    storage = storage_of(call.resource)
    obj = views.to_storage(call.resource, obj)
    if call.resource.stored_as:
        defaults.apply(storage, obj)
    base = obj["metadata"].get("generateName") or ""
    is_generated = not obj["metadata"].get("name") and bool(base)
    for attempt in range(_NAME_ATTEMPTS if is_generated else 1):
        candidate = _attempt(call, obj) if is_generated else obj
        if is_generated:
            letters = registry.random_letters(strategy.SUFFIX_ALPHABET, strategy.RANDOM_SUFFIX_LENGTH)
            candidate["metadata"]["name"] = strategy.generate_name(base, letters)
        try:
            return await _create_named(registry, call, candidate, tracks=tracks)
        except KeyExists as err:
            name = candidate["metadata"]["name"]
            if not base:
                raise _exists(registry, call, obj) from err
            if not is_generated or attempt == _NAME_ATTEMPTS - 1:  # a name given is told of alike
                raise errors.generate_name_conflict(call.resource, name) from err
    raise AssertionError("unreachable")


def _exists(registry: Registry, call: Call, obj: Mapping[str, Any]) -> errors.ApiError:
    """409, which says whether to wait helps: the object of that name may be on its way out."""
    item = registry.cache(call.resource).find(objects.key(obj))
    is_deleting = item is not None and objects.is_deleting(item.object())
    return errors.already_exists(call.resource, objects.name(obj), is_deleting=is_deleting)


async def _create_named(registry: Registry, call: Call, obj: dict[str, Any], *, tracks: bool) -> Item:
    """Let admission change the object, give it what only the server sets, then write it.

    Who loses an address or port to another server between choosing and claiming it chooses again.
    """
    resource, name = storage_of(call.resource), obj["metadata"].get("name") or ""
    is_versioned = _is_revision(obj["metadata"].get("resourceVersion") or "")
    attributes = chain.Attributes(
        chain.CREATE,
        call.user,
        resource,
        call.namespace,
        name,
        "",
        obj,
        None,
        call.is_dry_run,
        call.warnings,
        call.resource,
        call.options,
        is_consequence=call.is_consequence,
        sent=call.sent,
    )
    now = registry.now()
    if tracks:  # before admission: what the server adds belongs to nobody
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            obj["metadata"].pop(key, None)
        track(call, None, obj, now)
    entries = obj["metadata"].get("managedFields")
    await registry.admission.mutate(attributes)
    if attributes.is_changed:  # by webhooks, which may have moved it
        check_namespace(call, obj)
    strategy.prepare_for_create(resource, obj, namespace=call.namespace, uid=registry.random_uid(), now=now)
    if resource.custom is not None:
        resource.custom.apply_defaults(obj)  # of the status, which was dropped
    hooks = registry.hooks(resource)
    for _ in range(_CLAIM_ATTEMPTS):
        attributes.obj = objects.copy(obj) if hooks.is_shared else obj
        try:
            return await _allocate_and_write(
                registry, call, attributes, attributes.obj, entries, is_versioned=is_versioned
            )
        except Lost as err:
            err.learn()
            lost = err
    raise errors.ApiError("Conflict", 409, f"cannot create {call.resource.name} {name!r}: {lost}")


async def _allocate_and_write(
    registry: Registry,
    call: Call,
    attributes: chain.Attributes,
    obj: dict[str, Any],
    entries: Any,
    *,
    is_versioned: bool,
) -> Item:
    """Give the object what its kind owns besides (addresses, ports), judge it, write it; or give all back.

    entries: managedFields as they were before admission, which never decides who owns fields.
    """
    resource, name = attributes.resource, attributes.name
    hooks = registry.hooks(resource)
    undo = hooks.before_create(obj, is_dry_run=call.is_dry_run)
    try:
        known, spec = attributes.recalled or _looked(resource, obj)
        own = await judge.own(resource, obj) if known is None else pod.validate(obj, known)
        found = hooks.judge(obj, None, "")
        found += whole.validate_create(resource, obj, requested=call.resource, own=own)
        if found:
            raise call.refused(errors.invalid(resource, name, found))
        call.warn(warnings.of(resource, obj, known=known))
        await registry.admission.validate(attributes)
        if is_versioned:  # the store's to refuse: after all that others refuse
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        if entries:
            obj["metadata"]["managedFields"] = entries
        else:
            obj["metadata"].pop("managedFields", None)
        if not call.is_dry_run:
            await hooks.claim(obj, {})
        return await registry.commit(call, obj, 0, spec=spec)
    except BaseException:
        undo()
        raise


def _attempt(call: Call, obj: dict[str, Any]) -> dict[str, Any]:
    """Copy an object to be made under a drawn name."""
    if call.sent is None:
        return cast("dict[str, Any]", objects.copy(obj))
    return {**obj, "metadata": objects.copy(obj["metadata"])}  # the spec is copied by who changes it


def _looked(resource: Resource, obj: Mapping[str, Any]) -> tuple[Known, bytes] | tuple[None, None]:
    """Give what is known of the spec of a Pod, and the spec as JSON."""
    return known_specs.look(obj["spec"]) if resource.name == "pods" else (None, None)


def track(call: Call, old: dict[str, Any] | None, new: dict[str, Any], now: str) -> None:
    """Record in new.metadata.managedFields what the caller set."""
    definition = definition_of(call.resource)
    if definition is None:
        return
    shown = views.from_storage(call.resource, new)  # fields have the names of the version written in
    patch.track_update(
        definition,
        None if old is None else views.from_storage(call.resource, old),
        shown,
        manager=call.manager,
        api_version=call.resource.api_version,
        now=now,
        subresource=call.subresource,
        spec=None if call.sent is None else call.sent.fields,
    )
    if shown["metadata"].get("managedFields"):
        new["metadata"]["managedFields"] = shown["metadata"]["managedFields"]
    else:
        new["metadata"].pop("managedFields", None)


def definition_of(resource: Resource) -> facts.Definition | None:
    """Return the fields of a kind as server-side apply knows them."""
    if resource.custom is not None:
        return resource.custom.definition
    name = facts.name_of(resource.group, resource.version, resource.kind)
    return facts.definition(name) if name is not None else None


def _check_metadata(call: Call, obj: dict[str, Any]) -> None:
    check_namespace(call, obj)
    if call.sent is not None:
        defaults.apply_around_spec(call.resource, obj)
    elif not call.resource.stored_as:
        defaults.apply(call.resource, obj)


def _is_revision(said: str) -> bool:
    # Upstream's store passes over what is no number, as old manifests' "v1" (pkg/storage/etcd3/store.go).
    return said.isascii() and said.isdigit() and int(said) != 0


def check_namespace(call: Call, obj: dict[str, Any]) -> None:
    """Demand that the object's namespace is the request's; what is cluster-scoped loses it.

    Raises ApiError (400). Source: staging apiserver pkg/registry/rest/meta.go.
    """
    metadata = obj.setdefault("metadata", {})
    said = metadata.get("namespace") or ""
    if not call.resource.namespaced:
        metadata.pop("namespace", None)
        return
    if said and said != call.namespace:
        raise errors.misplaced()
    metadata["namespace"] = call.namespace
