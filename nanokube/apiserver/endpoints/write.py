"""create, update, patch, delete, deletecollection of objects and their status.

Source: staging apiserver pkg/endpoints/handlers/{create,update,patch,delete}.go.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from nanokube.api import cbor, errors, field, objects, patch, resources, schema, unstructured
from nanokube.api.facts import Definition
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.patch import strategic
from nanokube.api.resources import Resource
from nanokube.api.validation.metadata import IMMUTABLE
from nanokube.apiserver.cache.item import Item
from nanokube.apiserver.endpoints import negotiate, read, render, respond, unrecognized, yaml_body
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.registry import call as calls
from nanokube.apiserver.registry import create as creating
from nanokube.apiserver.registry import delete as deleting
from nanokube.apiserver.registry import update as updating
from nanokube.apiserver.registry.call import Call
from nanokube.apiserver.registry.update import Transform
from nanokube.kit.http.message import Answer

if TYPE_CHECKING:
    from nanokube.api.custom.kind import CustomKind

_PATCHES: Final = (patch.JSON, patch.MERGE, patch.STRATEGIC, patch.APPLY)
_CUSTOM_PATCHES: Final = (patch.JSON, patch.MERGE, patch.APPLY)
# PUT of an absent object creates it (AllowCreateOnUpdate).
_CREATED_BY_PUT: Final = frozenset(
    (
        "clusterrolebindings.rbac.authorization.k8s.io",
        "clusterroles.rbac.authorization.k8s.io",
        "endpoints",
        "events",
        "leases.coordination.k8s.io",
        "limitranges",
        "rolebindings.rbac.authorization.k8s.io",
        "roles.rbac.authorization.k8s.io",
        "runtimeclasses.node.k8s.io",
        "services",
    )
)
_PODS_STAY: Final = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
    "them or set propagationPolicy=Orphan to suppress this warning"
)
_PREFIX: Final = re.compile(r'\w+ in version "\w+" cannot be handled as a \w+: ')


async def create(scope: Scope) -> Answer:
    """Create the object in the body."""
    call = scope.call()
    form = negotiate.form_of(scope.request.headers.get("accept"), True)
    obj = scope.body_object(call)
    call.name = (obj.get("metadata") or {}).get("name") or ""
    item = await creating.create(scope.registry, call, obj)
    return _answer(scope, call, item, form, 201)


async def update(scope: Scope) -> Answer:
    """Replace the object by the body, or its status."""
    call = scope.call()
    form = negotiate.form_of(scope.request.headers.get("accept"), True)
    obj = scope.named_object(call)
    allows_creation = scope.resource.storage_name in _CREATED_BY_PUT and not call.subresource
    if allows_creation and scope.registry.cache(scope.resource).find(call.key) is None:
        metadata = obj.setdefault("metadata", {})
        metadata.pop("resourceVersion", None)
        metadata.setdefault("name", call.name)
        item = await creating.create(scope.registry, call, obj)
        return _answer(scope, call, item, form, 201)
    change = replacement(obj)
    item = await updating.update(scope.registry, call, change, demands_version=True, shares=False)
    return _answer(scope, call, item, form, 200)


def replacement(obj: dict[str, Any]) -> Transform:
    """Return what puts obj in an object's place. A retry must not see what the last did to the metadata."""
    return lambda old: {**obj, "metadata": dict(obj.get("metadata") or {})}


def change_of(scope: Scope, call: Call) -> tuple[Transform, bool]:
    """Read the body of a PATCH or PUT; return what does it to an object. Raises ApiError.

    And whether the writer is still to be recorded: what is applied records who applied it.
    """
    if scope.request.method != "PATCH":
        return replacement(scope.named_object(call)), True
    kind = patch_kind(scope, _PATCHES)
    if kind != patch.APPLY:
        return transform(scope, call, kind), True
    found = _schema_of(scope.resource)
    return application(scope, call, found, configuration(scope, call, scope.resource, found)), False


def start_from(new: dict[str, Any], old: Object) -> None:
    """Make new a copy of old without its version: for subresources that change one part and nothing else.

    Who manages which fields stays as new says.
    """
    managed = (new.get("metadata") or {}).get("managedFields")
    new.clear()
    new.update(objects.copy(old))
    new["metadata"].pop("resourceVersion", None)
    if managed is not None:
        new["metadata"]["managedFields"] = managed


async def patch_(scope: Scope) -> Answer:
    """Patch the object or its status; a server-side apply may create it."""
    call = scope.call()
    form = negotiate.form_of(scope.request.headers.get("accept"), True)
    kind = patch_kind(scope, _PATCHES if scope.resource.custom is None else _CUSTOM_PATCHES)
    if kind == patch.APPLY:
        return await _apply(scope, call, form)
    change = transform(scope, call, kind)
    # the status endpoint puts all but the status and metadata, which are new, back as they were
    shares = call.subresource != "status"
    item = await updating.update(scope.registry, call, change, demands_version=True, shares=shares)
    return _answer(scope, call, item, form, 200)


def patch_kind(scope: Scope, offered: Sequence[str]) -> str:
    """Read what kind of patch the body is; an apply is APPLY in CBOR too. Raises ApiError (415, 422)."""
    kind = scope.request.headers.get("content-type").partition(";")[0].strip()
    if kind == patch.APPLY_CBOR:
        kind = patch.APPLY
    if kind not in offered:
        raise _not_offered(scope.resource, offered)
    if kind != patch.APPLY and "force" in scope.request.query:
        raise _options_invalid(field.forbidden("force", "may not be specified for non-apply patch"))
    return kind


def _not_offered(resource: Resource, offered: Sequence[str]) -> errors.ApiError:
    """415: custom resources are told which kinds there are; before others stands a router that tells less."""
    if resource.custom is not None:
        return errors.unsupported_media_type((*offered, patch.APPLY_CBOR))
    return errors.ApiError("UnsupportedMediaType", 415, "415: Unsupported Media Type", {})


def _options_invalid(cause: FieldError) -> errors.ApiError:
    return calls.options_invalid("PatchOptions", [cause])


def configuration(
    scope: Scope, call: Call, resource: Resource, found: schema.Schema | CustomKind
) -> dict[str, Any]:
    """Read what is applied: a configuration of the resource's kind, pruned. Raises ApiError (400)."""
    if not scope.request.query.get("fieldManager"):
        raise _options_invalid(field.required("fieldManager", "is required for apply patch"))
    duplicates: list[str] = []
    if scope.request.headers.get("content-type").startswith(patch.APPLY_CBOR):
        config = cbor.decode(scope.request.body)
    else:
        config, duplicates = yaml_body.parse(scope.request.body)
    if not isinstance(config, dict):
        raise errors.bad_request("the applied configuration is not an object")
    if config.get("apiVersion") != resource.api_version or config.get("kind") != resource.kind:
        group, _, version = str(config.get("apiVersion") or "").rpartition("/")
        raise errors.bad_request(f"invalid object type: {group}/{version}, Kind={config.get('kind') or ''}")
    if not scope.info.subresource:
        _check_applied_name(call, config)
    given, (config, problems) = config, found.clean(config)
    refusal = patch.refuse_undeclared(found.definition, given, problems)
    if refusal is not None:
        raise refusal
    if (given.get("metadata") or {}).get("managedFields") == []:  # which pruning drops
        raise errors.bad_request("metadata.managedFields must be nil")
    call.warnings += schema.report([*problems, *duplicates], call.field_validation)
    patch.restore_zeros(found.definition, config, given)
    return config


def _check_applied_name(call: Call, config: Mapping[str, Any]) -> None:
    """Demand that a configuration names no object but that of the path. Raises ApiError (400)."""
    metadata = config.get("metadata")
    name = metadata.get("name") if type(metadata) is dict else None
    if name == "":
        raise errors.nameless(call.name)
    if type(name) is str and name != call.name:
        raise errors.misnamed(name, call.name)


def transform(scope: Scope, call: Call, kind: str) -> Transform:
    """Read the patch in the body; return what does it to an object. Raises ApiError."""
    resource = scope.resource
    found = _schema_of(resource)
    body = functools.cache(functools.partial(decoded, scope, kind))  # of what is not there nobody reads it

    def change(old: dict[str, Any]) -> dict[str, Any]:
        uid = old["metadata"]["uid"]
        new = patched(found.definition, kind, old, body())
        if not isinstance(new, dict):
            raise errors.bad_request("the patched document is not an object")
        settled = (resource.api_version, resource.kind)
        if kind == patch.STRATEGIC and (new.get("apiVersion"), new.get("kind")) != settled:
            new = {**new, "apiVersion": resource.api_version, "kind": resource.kind}
        with refused_as_patched(found.definition, kind, body(), new):
            metadata = new.get("metadata")
            is_reset = type(metadata) is dict and metadata.get("managedFields") == []  # which pruning drops
            cleaned, problems = _clean(found, new, old)
            call.warnings = schema.report(problems, call.field_validation)
            scope.check_kind(cleaned, resource.api_version, resource.kind)
        _check_patched(call, cleaned, uid)
        if is_reset:
            cleaned["metadata"]["managedFields"] = []
        return cleaned

    return change


def decoded(scope: Scope, kind: str) -> Any:
    """Read the body of a patch. Raises ApiError (400)."""
    began = "" if kind == patch.STRATEGIC else "error decoding patch: "
    try:
        body = schema.parse_json(scope.request.body)
    except ValueError as err:
        raise errors.bad_request(f"{began}{err}") from err
    if kind == patch.MERGE and type(body) is not dict:
        raise errors.bad_request(f"{began}{strategic.not_an_object(body)}")
    return body


@contextlib.contextmanager
def refused_as_patched(
    definition: Definition, kind: str, body: Any, new: Mapping[str, Any]
) -> Iterator[None]:
    """Where what a patch made of an object is no such object, refuse the patch. Raises ApiError (422).

    A strategic merge patch itself is shown, of other patches what came out.
    """
    try:
        yield
    except errors.ApiError as err:
        if err.code != 400:
            raise
        cause = _PREFIX.sub("", err.message)
        if kind == patch.STRATEGIC:
            if schema.STRICT_ERROR not in cause:
                cause = unstructured.refusal(definition, new) or cause
            said = unstructured.shown(body)
        else:
            said = json.dumps(new, separators=(",", ":"), ensure_ascii=False)  # of any length of number
        nameless = Resource("", "", "", "", "", False)
        raise errors.invalid(nameless, "", [field.invalid("patch", said, cause)]) from err


def _check_patched(call: Call, new: Mapping[str, Any], uid: str) -> None:
    """Refuse what a patch may not change, beside what no update may. Raises ApiError (400, 422)."""
    metadata = new.get("metadata") or {}
    if not metadata.get("name"):
        raise errors.nameless(call.name)
    said = metadata.get("uid")
    if said and said != uid:
        found = field.invalid("metadata.uid", said, IMMUTABLE)
        raise errors.invalid(call.resource, call.name, [found, found])


def patched(definition: Definition, kind: str, old: dict[str, Any], body: Any) -> Any:
    """Apply a patch of a kind other than APPLY; what comes out may be no object. Raises ApiError."""
    if kind == patch.JSON:
        return patch.apply_json_patch(old, body)
    if kind == patch.MERGE:
        return patch.apply_merge_patch(old, body)
    return patch.apply_strategic_patch(definition, old, body)


def _schema_of(resource: Resource) -> schema.Schema | CustomKind:
    """Give what checks and prunes objects of a resource, and knows their fields."""
    found = resource.custom or schema.get(resource.group, resource.version, resource.kind)
    if found is None:
        raise errors.internal(f"no schema for {resource.name}")
    return found


def _clean(
    found: schema.Schema | CustomKind, new: dict[str, Any], old: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Check and prune what a patch changed; the rest is as it was stored, and clean.

    The result shares with old what is below the top level and neither changed nor status.
    """
    if not isinstance(found, schema.Schema):
        return found.clean(objects.copy(new))
    kept = {
        key for key, value in new.items() if value is not None and value is old.get(key) and key != "status"
    }
    cleaned, problems = found.clean({key: value for key, value in new.items() if key not in kept})
    whole = {key: new[key] if key in kept else cleaned[key] for key in new if key in kept or key in cleaned}
    if "metadata" in kept:
        whole["metadata"] = dict(whole["metadata"])
    return whole, problems


async def _apply(scope: Scope, call: Call, form: negotiate.Form) -> Answer:
    """Server-side apply."""
    resource = scope.resource
    found = _schema_of(resource)
    config = configuration(scope, call, resource, found)
    change = application(scope, call, found, config)
    if scope.registry.cache(resource).find(call.key) is None and not call.subresource:
        if (config.get("metadata") or {}).get("uid"):
            cause = "uid mismatch: the provided object specified uid but no existing object was found"
            raise errors.conflict(resource, call.name, cause)
        obj = change({})
        if not obj["metadata"].get("name"):
            raise errors.nameless(call.name)
        obj["metadata"].pop("resourceVersion", None)
        item = await creating.create(scope.registry, call, obj, tracks=False)
        return _answer(scope, call, item, form, 201)
    item = await updating.update(scope.registry, call, change, tracks=False, demands_version=True)
    return _answer(scope, call, item, form, 200)


def application(
    scope: Scope, call: Call, found: schema.Schema | CustomKind, config: dict[str, Any]
) -> Transform:
    """Return what applies a configuration to an object; {} stands for none."""

    def change(old: dict[str, Any]) -> dict[str, Any]:
        new = patch.apply_configuration(
            found.definition,
            old or None,
            config,
            manager=call.manager,
            force=call.is_forced,
            now=scope.registry.now(),
            subresource=call.subresource,
        )
        if old:
            _check_patched(call, new, old["metadata"]["uid"])
        return new

    return change


async def delete(scope: Scope) -> Answer:
    """Delete the object."""
    form = negotiate.form_of(scope.request.headers.get("accept"), True)
    options, is_dry_run = _delete_options(scope)
    call = scope.call(is_dry_run=is_dry_run)
    _warn_of_orphans(call, options)
    try:
        item, is_gone = await deleting.delete(scope.registry, call, options)
    except errors.ApiError as err:
        raise call.refused(err) from err.__cause__
    resource = scope.resource
    if is_gone and resource.storage_name not in resources.ANSWERED_DELETED:
        uid = item.object()["metadata"]["uid"]
        status = respond.success(resource.group, resource.plural, call.name, uid)
        return respond.document(scope.request, status, negotiate.Form(form.media), warnings=call.warnings)
    return _answer(scope, call, item, form, 200)


async def delete_collection(scope: Scope) -> Answer:
    """Delete what a list with the same options shows: with a limit, that page and no more."""
    form = negotiate.form_of(scope.request.headers.get("accept"), True)
    items, metadata = await read.selected(scope)
    options, is_dry_run = _delete_options(scope)
    call = scope.call(is_dry_run=is_dry_run)
    _warn_of_orphans(call, options)
    await deleting.delete_all(scope.registry, call, items, options)
    parts = render.many(scope.resource, items, metadata, form, scope.registry.clock.time())
    return respond.encoded(scope.request, parts, form, warnings=call.warnings)


def _warn_of_orphans(call: Call, options: calls.DeleteOptions) -> None:
    if call.resource.storage_name == "jobs.batch" and not options.propagation:
        call.warn([_PODS_STAY])


def _delete_options(scope: Scope) -> tuple[calls.DeleteOptions, bool]:
    body: Any = None
    if scope.request.body:
        parsed = negotiate.parse(scope.request.body, scope.request.headers.get("content-type"))
        unrecognized.check_options(parsed, "DeleteOptions")
        found = schema.get("", "v1", "DeleteOptions")
        assert found is not None
        try:
            body = found.clean(parsed or {})[0]
        except errors.ApiError as err:
            raise errors.bad_request(_PREFIX.sub("", err.message)) from err
    return calls.delete_options(scope.request.query, body)


def _answer(scope: Scope, call: Call, item: Item, form: negotiate.Form, status: int) -> Answer:
    body = render.one(scope.resource, item, form, scope.registry.clock.time())
    return respond.encoded(scope.request, [body], form, status, call.warnings)
