"""/scale: read, replace, patch and apply the autoscaling/v1 Scale of an object.

Who manages an object's replicas manages its Scale's, and the other way round.
Source: pkg/registry/apps/deployment/storage/storage.go (scaleUpdatedObjectInfo), apiextensions-apiserver
pkg/registry/customresource/etcd.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nanokube.api import errors, field, objects, patch, scale, scaling, schema, strategy
from nanokube.api.objects import Object
from nanokube.api.resource import Resource
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.endpoints import negotiate, render, respond, write
from nanokube.apiserver.endpoints.scope import Scope, check_named
from nanokube.apiserver.registry import update as updating
from nanokube.apiserver.registry.call import Call
from nanokube.kit.http.message import Answer

_SCALE: Final = Resource("autoscaling", "v1", "Scale", "scales", "scale", True)
_PATCHES: Final = (patch.JSON, patch.MERGE, patch.STRATEGIC, patch.APPLY)

# The live Scale, its managers included, to the wanted one.
Make = Callable[[dict[str, Any]], dict[str, Any]]


async def get(scope: Scope) -> Answer:
    """Answer the Scale of an object."""
    return _answer(scope, scope.call(), await scope.registry.load(scope.call()))


async def put(scope: Scope) -> Answer:
    """Replace the Scale of an object."""
    call = scope.call()
    body = scope.decode(call, "autoscaling", "v1", "Scale")
    check_named(call, body)
    return _answer(scope, call, await _rescale(scope, call, lambda live: objects.copy(body)))


async def patch_(scope: Scope) -> Answer:
    """Patch the Scale of an object, or apply to it."""
    call = scope.call()
    kind = write.patch_kind(scope, _PATCHES)
    if kind == patch.APPLY:
        return _answer(scope, call, await _apply(scope, call))
    body = write.decoded(scope, kind)
    found = _schema()

    def change(live: dict[str, Any]) -> dict[str, Any]:
        patched = write.patched(found.definition, kind, live, body)
        with write.refused_as_patched(found.definition, kind, body, patched):
            cleaned, problems = found.clean(patched)
            call.warnings = schema.report(problems, call.field_validation)
        return cleaned

    return _answer(scope, call, await _rescale(scope, call, change))


async def _apply(scope: Scope, call: Call) -> Item:
    found = _schema()
    config = write.configuration(scope, call, _SCALE, found)

    def change(live: dict[str, Any]) -> dict[str, Any]:
        return patch.apply_configuration(
            found.definition,
            live,
            config,
            manager=call.manager,
            force=call.is_forced,
            now=scope.registry.now(),
            subresource=call.subresource,
        )

    return await _rescale(scope, call, change, tracks=False)


async def _rescale(scope: Scope, call: Call, make: Make, *, tracks: bool = True) -> Item:
    """Change an object's Scale and, by that, the object. tracks: record the caller as an updater."""
    resource = call.resource
    path = scaling.replicas_path(resource)

    def change(old: dict[str, Any]) -> dict[str, Any]:
        parent = objects.metadata(old).get("managedFields") or []
        live = scaling.scale_of(resource, old)
        live["metadata"]["managedFields"] = scale.managers(parent, resource.api_version, path)
        wanted = make(objects.copy(live))
        wanted["metadata"] = dict(objects.metadata(wanted))
        _check(call, wanted, old)
        if tracks:
            patch.track_update(
                _schema().definition,
                live,
                wanted,
                manager=call.manager,
                api_version=scale.API_VERSION,
                now=scope.registry.now(),
                subresource=call.subresource,
            )
        new = scaling.put_scale(resource, old, wanted)
        entries = objects.metadata(wanted).get("managedFields") or []
        entries = scale.managers_of_parent(parent, entries, resource.api_version, path)
        new["metadata"].pop("managedFields", None)
        if entries:
            new["metadata"]["managedFields"] = entries
        if not objects.metadata(wanted).get("resourceVersion"):
            new["metadata"].pop("resourceVersion", None)
        return new

    def prepare(new: dict[str, Any], old: dict[str, Any]) -> None:
        strategy.prepare_for_update(scope.resource, new, old)

    return await updating.update(scope.registry, call, change, prepare=prepare, tracks=False)


def _check(call: Call, wanted: Object, old: Object) -> None:
    """Refuse a Scale that is of another object, or of fewer replicas than none. Raises ApiError."""
    metadata = objects.metadata(wanted)
    for key, said, word, where in (
        ("name", call.name, "name", "URL"),
        ("namespace", call.namespace, "namespace", "request"),
    ):
        if (metadata.get(key) or said) != said:
            other = f"the {word} of the object ({metadata[key]})"
            raise errors.bad_request(f"{other} does not match the {word} on the {where} ({said})")
    replicas = objects.spec(wanted).get("replicas") or 0
    if replicas < 0 and call.resource.custom is None:  # whose own definition says so
        cause = field.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise errors.invalid(_SCALE, call.name, [cause])
    live = objects.metadata(old).get("uid")
    if metadata.get("uid") and metadata["uid"] != live:
        text = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {live}"
        raise errors.conflict(call.resource, call.name, text)


def _schema() -> schema.Schema:
    found = schema.get("autoscaling", "v1", "Scale")
    assert found is not None
    return found


def _answer(scope: Scope, call: Call, item: Item) -> Answer:
    tree = scaling.scale_of(scope.resource, item.object())
    form = negotiate.form_of(scope.request.headers.get("accept"), True)
    if form.shape:
        include = render.include_object(scope.request.query.get("includeObject"), form)
        tree = render.shaped(_SCALE, tree, form, scope.registry.clock.time(), include)
    return respond.document(scope.request, tree, form, warnings=call.warnings)
