"""The subresources that read and write objects: scale, binding, eviction, finalize, token and the like.

Source: pkg/registry/core/{pod,namespace,serviceaccount}/storage, pkg/registry/apps/deployment/storage.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from nanokube.api import errors, field, resources, timestamps
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.resources import Resource
from nanokube.api.strategy import namespace as namespaces
from nanokube.api.strategy import pod as pods
from nanokube.api.validation import cluster, whole
from nanokube.apiserver.admission import chain
from nanokube.apiserver.authn import serviceaccount
from nanokube.apiserver.authn.serviceaccount import Tokens
from nanokube.apiserver.endpoints import negotiate, respond, write
from nanokube.apiserver.endpoints.scope import Scope
from nanokube.apiserver.registry import update as updating
from nanokube.apiserver.registry.call import Call
from nanokube.kit.http.message import Answer, Response

MIN_TOKEN_S: Final = 600
MAX_TOKEN_S: Final = 1 << 32
_TOKEN_REQUEST: Final = Resource("authentication.k8s.io", "v1", "TokenRequest", "", "", True)


def no_check(resource: Resource, new: Object, old: Object) -> list[FieldError]:
    """What the subresource did needs no check of the whole object."""
    return []


async def bind(scope: Scope) -> Answer:
    """Assign a Pod to a node: pods/<name>/binding, or a Binding posted to bindings."""
    call, form = scope.call(), scope.form()
    body = scope.decode(call, "", "v1", "Binding")
    scope.check_namespace(body)
    name = (body.get("metadata") or {}).get("name") or ""
    if call.name and name != call.name:
        raise errors.bad_request("name in URL does not match name in Binding object")
    await ask(scope, call, name, body)
    pod = resources.get("pods")
    call = Call(
        call.user,
        pod,
        call.namespace,
        name,
        "binding",
        call.is_dry_run,
        call.manager,
        warnings=call.warnings,
        is_consequence=True,
    )

    def change(old: dict[str, Any]) -> dict[str, Any]:
        pods.bind(old, body, now=scope.registry.now())
        return old

    await updating.update(scope.registry, call, change, prepare=lambda new, old: None, check=no_check)
    status = respond.success("", "", "")
    return respond.document(scope.request, status, form, 201, warnings=call.warnings)


async def ask(scope: Scope, call: Call, name: str, body: dict[str, Any]) -> None:
    """Ask webhooks and policies about what is posted to a subresource, not about what follows.

    They may change the body. Raises ApiError.
    """
    attributes = chain.Attributes(
        chain.CREATE,
        call.user,
        scope.resource,
        call.namespace,
        name,
        call.subresource,
        body,
        None,
        call.is_dry_run,
        call.warnings,
        options=call.options,
    )
    await scope.registry.admission.ask_configured(attributes)


async def finalize(scope: Scope) -> Answer:
    """Replace a Namespace's spec.finalizers; without any left, a Namespace under deletion is gone."""
    call, form = scope.call(), scope.form()
    body = scope.named_object(call)
    item = await updating.update(
        scope.registry,
        call,
        write.replacement(body),
        prepare=namespaces.finalize,
        check=lambda resource, new, old: cluster.validate_namespace_finalize(new, old),
        tracks=False,
    )
    return respond.encoded(scope.request, [item.raw], form)


async def ephemeral_containers(scope: Scope) -> Answer:
    """Add ephemeral containers to a Pod: nothing else of it changes."""
    call, form = scope.call(), scope.form()
    if scope.request.method == "GET":
        return respond.encoded(scope.request, [scope.registry.get(call).raw], form)
    change, tracks = write.change_of(scope, call)

    def prepare(new: dict[str, Any], old: dict[str, Any]) -> None:
        wanted = (new.get("spec") or {}).get("ephemeralContainers") or []
        before = old["spec"].get("ephemeralContainers") or []
        write.start_from(new, old)
        if wanted != before:
            new["spec"]["ephemeralContainers"] = wanted
            new["metadata"]["generation"] = new["metadata"].get("generation", 0) + 1

    item = await updating.update(
        scope.registry, call, change, prepare=prepare, check=whole.validate_ephemeral, tracks=tracks
    )
    return respond.encoded(scope.request, [item.raw], form, warnings=call.warnings)


async def resize(scope: Scope) -> Answer:
    """Change requests, limits and resize policies of a Pod's containers: nothing else of it."""
    call, form = scope.call(), scope.form()
    if scope.request.method == "GET":
        return respond.encoded(scope.request, [scope.registry.get(call).raw], form)
    change, tracks = write.change_of(scope, call)

    def prepare(new: dict[str, Any], old: dict[str, Any]) -> None:
        wanted = new.get("spec") or {}
        write.start_from(new, old)
        pods.resize(new["spec"], wanted)
        if new["spec"] != old["spec"]:
            new["metadata"]["generation"] = new["metadata"].get("generation", 0) + 1

    def check(resource: Resource, new: Object, old: Object) -> list[FieldError]:
        return whole.validate_resize(new, old)

    item = await updating.update(scope.registry, call, change, prepare=prepare, check=check, tracks=tracks)
    return respond.encoded(scope.request, [item.raw], form, warnings=call.warnings)


class TokenRequests:
    """serviceaccounts/<name>/token."""

    def __init__(self, tokens: Tokens, audience: str) -> None:
        self._tokens = tokens
        self._audience = audience

    async def create(self, scope: Scope) -> Answer:
        """Sign a token for a ServiceAccount."""
        call = scope.call()
        account = scope.registry.get(call).object()
        body = scope.decode(call, "authentication.k8s.io", "v1", "TokenRequest")
        scope.check_namespace(body)
        said = (body.get("metadata") or {}).get("name") or call.name
        if said != call.name:
            detail = "must match the service account name if specified"
            raise errors.invalid(_TOKEN_REQUEST, call.name, [field.invalid("metadata.name", said, detail)])
        spec = body.setdefault("spec", {})
        audiences = spec.get("audiences") or [self._audience]
        wanted = spec.get("expirationSeconds")
        seconds = 3600 if wanted is None else wanted
        if not MIN_TOKEN_S <= seconds <= MAX_TOKEN_S:
            raise _bad_expiry(seconds)
        attributes = chain.Attributes(
            chain.CREATE,
            call.user,
            scope.resource,
            call.namespace,
            call.name,
            "token",
            body,
            None,
            call.is_dry_run,
            call.warnings,
            options=call.options,
        )
        await scope.registry.admission.mutate(attributes)
        await scope.registry.admission.validate(attributes)
        now = scope.registry.clock.time()
        bound = _binding(scope, call, spec.get("boundObjectRef"))
        token, expiry = self._tokens.issue(account, audiences, seconds, now, bound)
        spec.update(audiences=audiences, expirationSeconds=seconds)
        spec.setdefault("boundObjectRef", None)
        body["metadata"] = {
            "name": call.name,
            "namespace": call.namespace,
            "uid": scope.registry.random_uid(),
            "creationTimestamp": timestamps.format_time(now),
        }
        body["status"] = {"token": token, "expirationTimestamp": timestamps.format_time(expiry)}
        return Response(201, orjson.dumps(body), negotiate.JSON, (("Cache-Control", "no-cache, private"),))


def _bad_expiry(seconds: int) -> errors.ApiError:
    detail = "may not specify a duration less than 10 minutes"
    if seconds > MAX_TOKEN_S:
        detail = "may not specify a duration larger than 2^32 seconds"
    return errors.invalid(_TOKEN_REQUEST, "", [field.invalid("spec.expirationSeconds", seconds, detail)])


def _binding(scope: Scope, call: Call, ref: dict[str, Any] | None) -> serviceaccount.Binding | None:
    """Check the object that a token is to be bound to. Raises ApiError."""
    if not ref:
        return None
    kind, name = ref.get("kind", ""), ref.get("name", "")
    plurals = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}
    if kind not in plurals:
        group, _, version = ref.get("apiVersion", "").rpartition("/")
        raise errors.bad_request(f"cannot bind token to object of type {group}/{version}, Kind={kind}")
    key = name if kind == "Node" else f"{call.namespace}/{name}"
    found = scope.registry.find(plurals[kind], key)
    if found is None:
        raise errors.not_found(resources.get(plurals[kind]), name)
    uid = found["metadata"]["uid"]
    if ref.get("uid") and ref["uid"] != uid:
        cause = f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. The "
        cause += "object might have been deleted and then recreated"
        raise errors.conflict(resources.get(plurals[kind]), name, cause)
    node = ("", "")
    if kind == "Pod":
        spec = found.get("spec") or {}
        if spec.get("serviceAccountName") != call.name:
            raise errors.bad_request(
                f"cannot bind token for serviceaccount {field.quote(call.name)} "
                "to pod running with different serviceaccount name."
            )
        if spec.get("nodeName"):
            live = scope.registry.find("nodes", spec["nodeName"])
            node = (spec["nodeName"], live["metadata"]["uid"] if live else "")
    return serviceaccount.Binding(kind, name, uid, node)
