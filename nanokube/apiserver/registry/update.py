"""Update: read, change, compare, write; again when another writer came between and the caller does not mind.

Source: staging apiserver pkg/registry/rest/update.go, pkg/registry/generic/registry/store.go (Update).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from nanokube.api import defaults, errors, field, objects, strategy
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.patch import entries
from nanokube.api.resources import Resource
from nanokube.api.validation import metadata, warnings, whole
from nanokube.apiserver.admission import chain
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.registry import judge, views
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.create import check_namespace, track
from nanokube.apiserver.registry.hooks import Lost
from nanokube.apiserver.registry.registry import Registry, storage_of
from nanokube.storage.store import Conflict, NotFound

_ATTEMPTS: Final = 10
# These demand a resourceVersion (AllowUnconditionalUpdate is false).
_CONDITIONAL: Final = frozenset(
    (
        "apiservices.apiregistration.k8s.io",
        "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io",
        "csistoragecapacities.storage.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io",
        "leases.coordination.k8s.io",
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "poddisruptionbudgets.policy",
        "runtimeclasses.node.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "volumeattachments.storage.k8s.io",
    )
)

# The live object, as the request's version shows it and the caller's own, to the wanted one.
Transform = Callable[[dict[str, Any]], dict[str, Any]]
Prepare = Callable[[dict[str, Any], dict[str, Any]], None]
Check = Callable[[Resource, Object, Object], list[FieldError]]


async def update(
    registry: Registry,
    call: Call,
    transform: Transform,
    *,
    prepare: Prepare | None = None,
    check: Check | None = None,
    tracks: bool = True,
    demands_version: bool = False,
    shares: bool = True,
) -> Item:
    """Change the object of a call and return it as written.

    prepare(new, old): replaces the kind's strategy for this subresource; check, its validation.
    tracks: record the writer in managedFields. demands_version: the kind's rule for clients' writes applies.
    shares: what is done to the result of transform could be done to its argument too.
    Raises ApiError, with the warnings that there are.
    """
    try:
        return await _update(registry, call, transform, prepare, check, tracks, demands_version, shares)
    except errors.ApiError as err:
        raise call.refused(err) from err.__cause__


async def _update(
    registry: Registry,
    call: Call,
    transform: Transform,
    prepare: Prepare | None,
    check: Check | None,
    tracks: bool,
    demands_version: bool,
    shares: bool,
) -> Item:
    for _ in range(_ATTEMPTS):
        item = await registry.load(call)
        old = item.object()
        given = item.object() if shares or call.resource.stored_as else old
        new = transform(views.from_storage(call.resource, given))
        _check_preconditions(call, item, new, old["metadata"]["uid"], demands_version=demands_version)
        stored = views.to_storage(call.resource, new)
        try:
            return await _write(registry, call, item, stored, old, prepare, check, tracks=tracks)
        except (Conflict, NotFound):
            # Another write came first, or the object is gone, as the next round will say. A client that named
            # the version is refused by the next round's preconditions; a patch that did not is applied to the
            # newer object.
            continue
    raise errors.conflict(storage_of(call.resource), call.name)


async def _write(
    registry: Registry,
    call: Call,
    item: Item,
    new: dict[str, Any],
    old: dict[str, Any],
    prepare: Prepare | None,
    check: Check | None,
    *,
    tracks: bool,
) -> Item:
    resource = storage_of(call.resource)
    new["metadata"].pop("resourceVersion", None)
    _prepare(call, resource, new, old, prepare, registry.now)
    if tracks:  # before admission: what the server adds belongs to nobody
        track(call, old, new, registry.now())
    attributes = _attributes(call, resource, new, old)
    await registry.admission.mutate(attributes)
    if attributes.is_changed:  # by webhooks, which may have touched what this endpoint does not change
        _check_identity(call, resource, new)
        _prepare(call, resource, new, old, prepare, registry.now)
    hooks = registry.hooks(resource)
    undo = hooks.before_update(new, old, is_dry_run=call.is_dry_run)
    try:
        check = check or await _check_of(call, resource, new, old)
        _judge(call, resource, new, old, check, hooks.judge(new, old, call.subresource))
        await registry.admission.validate(attributes)
        if _same(new, old):
            if await registry.is_stale(call, item):
                raise Conflict(item.key, item.revision, 0)
            undo()
            return item
        if _is_finished(resource.name, new):
            revision = await registry.remove(call, item.key, item.revision)
            hooks.after_delete(old)
            return item.at(revision)
        if not call.is_dry_run:
            await hooks.claim(new, old)
        written = await registry.commit(call, new, item.revision)
    except Lost as err:
        undo()
        err.learn()
        raise Conflict(item.key, item.revision, item.revision) from err
    except BaseException:
        undo()
        raise
    if not call.is_dry_run:
        hooks.after_update(new, old)
    return written


def _attributes(call: Call, resource: Resource, new: dict[str, Any], old: dict[str, Any]) -> chain.Attributes:
    return chain.Attributes(
        chain.UPDATE,
        call.user,
        resource,
        call.namespace,
        call.name,
        call.subresource,
        new,
        old,
        call.is_dry_run,
        call.warnings,
        call.resource,
        call.options,
        is_consequence=call.is_consequence,
    )


def _prepare(
    call: Call,
    resource: Resource,
    new: dict[str, Any],
    old: dict[str, Any],
    prepare: Prepare | None,
    now: Callable[[], str],
) -> None:
    """Put back what the endpoint does not change, count the generation, fill in defaults."""
    if prepare is None and call.subresource == "status":
        strategy.prepare_for_status_update(resource, new, old)
        strategy.date_conditions(resource, new, old, now())
        defaults.apply_to_status(resource, new)
        return
    defaults.apply(resource, new)  # or what is left to defaults would count as a change of the spec
    (prepare or partial(strategy.prepare_for_update, resource))(new, old)
    defaults.apply(resource, new)


def _check_identity(call: Call, resource: Resource, new: dict[str, Any]) -> None:
    """Demand that admission left an object where and what it is. Raises ApiError (400, 422)."""
    check_namespace(call, new)
    if not new["metadata"].get("name"):
        missing = field.required("metadata.name", "name or generateName is required")
        changed = field.invalid("metadata.name", "", metadata.IMMUTABLE)
        raise call.refused(errors.invalid(resource, "", [missing, changed]))


def _judge(
    call: Call,
    resource: Resource,
    new: dict[str, Any],
    old: dict[str, Any],
    check: Check,
    told: list[FieldError],
) -> None:
    """Refuse what is wrong, warn of what is odd. told: what is found wrong already. Raises ApiError (422)."""
    found = told + check(resource, new, old)
    if found:
        raise call.refused(errors.invalid(resource, call.name, found))
    if not call.subresource:
        call.warn(warnings.of(resource, new, old))


async def _check_of(call: Call, resource: Resource, new: dict[str, Any], old: dict[str, Any]) -> Check:
    if call.subresource == "status":
        await judge.prepare(resource)
        return whole.validate_status_update
    return partial(whole.validate_update, requested=call.resource, own=await judge.own(resource, new, old))


def _same(new: dict[str, Any], old: dict[str, Any]) -> bool:
    old["metadata"].pop("resourceVersion", None)
    if new.get("status") != old.get("status"):  # what differs most often
        return False
    return new == old or _differs_in_times(new, old)


def _differs_in_times(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Tell whether a write changed nothing but when: defaults and admission took back what it brought."""
    if any(new.get(key) != old.get(key) for key in {*new, *old} - {"metadata"}):
        return False
    before, after = ({**each["metadata"]} for each in (old, new))
    managed = (each.pop("managedFields", None) or () for each in (before, after))
    return before == after and entries.are_same_but_for_times(*managed)


def _is_finished(resource_name: str, new: dict[str, Any]) -> bool:
    """The last finalizer of an object under deletion is gone: so is the object."""
    if not objects.is_deleting(new) or new["metadata"].get("finalizers"):
        return False
    if resource_name == "namespaces":
        return not (new.get("spec") or {}).get("finalizers")
    return not new["metadata"].get("deletionGracePeriodSeconds")


def _check_preconditions(
    call: Call, item: Item, new: dict[str, Any], live: str, *, demands_version: bool
) -> None:
    """Compare what the client says of the object it changes. Raises ApiError (409, 422)."""
    resource = storage_of(call.resource)
    metadata = new.setdefault("metadata", {})
    check_namespace(call, new)
    if (metadata.get("name") or call.name) != call.name:
        raise errors.misnamed(metadata["name"], call.name)
    metadata["name"] = call.name
    uid = metadata.get("uid")
    if uid and uid != live:
        cause = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {live}"
        raise errors.conflict(resource, call.name, cause)
    version = metadata.get("resourceVersion") or ""
    if version in ("", "0"):
        if demands_version and (call.resource.custom is not None or call.resource.name in _CONDITIONAL):
            found = field.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise errors.invalid(resource, call.name, [found], kind=resource.plural)
        return
    if version != str(item.revision):
        raise errors.conflict(resource, call.name)
