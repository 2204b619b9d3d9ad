"""Paths and operations of resources, for both versions of OpenAPI. Pure.

kubectl reads from them which kind a resource has (`x-kubernetes-group-version-kind`) and whether PATCH knows
`fieldValidation` and `dryRun`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import facts
from nanokube.api.openapi import schemas
from nanokube.api.resources import Resource

_PATCH_TYPES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_JSON: Final = "application/json"
_WRITE: Final = (("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"))
_LIST: Final = (
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
)
_DELETE: Final = (
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
)
# verb of the API -> HTTP method, action, query parameters
_OF_OBJECT: Final = {
    "get": ("get", "get", ()),
    "update": ("put", "put", _WRITE),
    "patch": ("patch", "patch", (*_WRITE, ("force", "boolean"))),
    "delete": ("delete", "delete", _DELETE),
}
_OF_COLLECTION: Final = {
    "list": ("get", "list", _LIST),
    "create": ("post", "post", _WRITE),
    "deletecollection": ("delete", "deletecollection", (*_LIST[1:-1], *_DELETE)),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; `body` and `answer` name definitions."""

    method: str
    action: str
    id: str
    group: str
    kind: tuple[str, str, str]
    query: tuple[tuple[str, str], ...]
    body: str | None
    answer: str | None


def v2(resources: Iterable[Resource]) -> dict[str, Any]:
    """Build `paths` of Swagger 2.0."""
    found: dict[str, Any] = {}
    for path, parameters, operations in _all(resources):
        entry: dict[str, Any] = {o.method: _operation_v2(o) for o in operations}
        shared = [
            {"name": p, "in": "path", "required": True, "type": "string", "uniqueItems": True}
            for p in parameters
        ]
        found[path] = {**entry, "parameters": shared} if shared else entry
    return found


def v3(resources: Iterable[Resource]) -> dict[str, Any]:
    """Build `paths` of OpenAPI v3."""
    found: dict[str, Any] = {}
    for path, parameters, operations in _all(resources):
        entry: dict[str, Any] = {o.method: _operation_v3(o) for o in operations}
        shared = [
            {"name": p, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
            for p in parameters
        ]
        found[path] = {**entry, "parameters": shared} if shared else entry
    return found


def _all(resources: Iterable[Resource]) -> Iterator[tuple[str, list[str], list[Operation]]]:
    """Yield path, names in braces, and operations."""
    for resource in resources:
        inside = ["namespace"] if resource.namespaced else []
        collection = resource.path("{namespace}")
        own = (resource.group, resource.version, resource.kind)
        title = f"{'Namespaced' if resource.namespaced else ''}{resource.kind}"
        operations = _operations(resource, own, title, _OF_COLLECTION, resource.verbs)
        if operations:
            yield collection, inside, operations
        if resource.namespaced and "list" in resource.verbs:
            everywhere = f"{resource.kind}ForAllNamespaces"
            yield resource.path(), [], _operations(resource, own, everywhere, _OF_COLLECTION, ("list",))
        operations = _operations(resource, own, title, _OF_OBJECT, resource.verbs)
        if operations:
            yield f"{collection}/{{name}}", ["name", *inside], operations
        for sub in resource.subresources:
            kind = (sub.group, sub.version, sub.kind) if sub.version else (*own[:2], sub.kind)
            table = {**_OF_OBJECT, "create": _OF_COLLECTION["create"]}
            operations = _operations(resource, kind, f"{title}{sub.name.title()}", table, sub.verbs)
            yield f"{collection}/{{name}}/{sub.name}", ["name", *inside], operations


def _operations(
    resource: Resource, kind: tuple[str, str, str], title: str, table: Any, verbs: Iterable[str]
) -> list[Operation]:
    return [_operation(resource, kind, title, *table[v]) for v in verbs if v in table]


def _operation(
    resource: Resource,
    kind: tuple[str, str, str],
    title: str,
    method: str,
    action: str,
    query: tuple[tuple[str, str], ...],
) -> Operation:
    own = facts.name_of(*kind)
    body = {
        "patch": schemas.PATCH,
        "delete": schemas.DELETE_OPTIONS,
        "deletecollection": schemas.DELETE_OPTIONS,
    }
    needs_body = action in ("post", "put")
    answer = own
    if action == "list":
        answer = facts.name_of(resource.group, resource.version, resource.list_kind)
    elif action in ("delete", "deletecollection"):
        answer = schemas.STATUS
    group = (resource.group.removesuffix(".k8s.io") or "core").replace(".", "_")
    verb = {"get": "read", "post": "create", "put": "replace"}.get(action, action)
    group_title = "".join(p.capitalize() for p in group.split("_"))
    identity = f"{verb}{group_title}{resource.version.capitalize()}{title}"
    return Operation(
        method=method,
        action=action,
        id=identity,
        group=f"{group}_{resource.version}",
        kind=kind,
        query=query,
        body=own if needs_body else body.get(action),
        answer=answer,
    )


def _shared(operation: Operation) -> dict[str, Any]:
    group, version, kind = operation.kind
    return {
        "operationId": operation.id,
        "tags": [operation.group],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    }


def _operation_v3(operation: Operation) -> dict[str, Any]:
    found = _shared(operation)
    if operation.query:
        found["parameters"] = [
            {"name": n, "in": "query", "schema": {"type": t, "uniqueItems": True}} for n, t in operation.query
        ]
    if operation.body:
        content = {"schema": {"$ref": schemas.V3_PREFIX + operation.body}}
        types = _PATCH_TYPES if operation.action == "patch" else ("*/*",)
        found["requestBody"] = {"content": dict.fromkeys(types, content)}
    answer: dict[str, Any] = {"description": "OK"}
    if operation.answer:
        answer["content"] = {_JSON: {"schema": {"$ref": schemas.V3_PREFIX + operation.answer}}}
    found["responses"] = {"200": answer, "401": {"description": "Unauthorized"}}
    return found


def _operation_v2(operation: Operation) -> dict[str, Any]:
    found = _shared(operation)
    found["consumes"] = list(_PATCH_TYPES) if operation.action == "patch" else ["*/*"]
    found["produces"] = [_JSON]
    found["schemes"] = ["https"]
    parameters: list[dict[str, Any]] = [
        {"name": n, "in": "query", "type": t, "uniqueItems": True} for n, t in operation.query
    ]
    if operation.body:
        schema = {"$ref": schemas.V2_PREFIX + operation.body}
        parameters.insert(0, {"name": "body", "in": "body", "schema": schema})
    if parameters:
        found["parameters"] = parameters
    answer: dict[str, Any] = {"description": "OK"}
    if operation.answer:
        answer["schema"] = {"$ref": schemas.V2_PREFIX + operation.answer}
    found["responses"] = {"200": answer, "401": {"description": "Unauthorized"}}
    return found
