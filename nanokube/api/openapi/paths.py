"""Paths and operations of resources, for both versions of OpenAPI. Pure.

kubectl reads from them which kind a resource has (`x-kubernetes-group-version-kind`) and whether PATCH knows
`fieldValidation` and `dryRun`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import facts
from nanokube.api.openapi import schemas
from nanokube.api.resources import ANSWERED_DELETED, Resource

_PATCH_TYPES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_CUSTOM_PATCH_TYPES: Final = tuple(t for t in _PATCH_TYPES if "strategic" not in t)
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
_DESCRIPTIONS: Final = {
    "allowWatchBookmarks": "A watch may send events of type BOOKMARK, which tell how far it has come.",
    "continue": "Goes on with a list after a page: the metadata.continue of that page.",
    "dryRun": "With All everything is checked and answered, but nothing is stored.",
    "fieldManager": "The name under which the change's fields are managed, at most 128 characters.",
    "fieldSelector": "Restricts the list of returned objects by values of their fields.",
    "fieldValidation": "What unknown and duplicate fields cause: nothing (Ignore), a warning, a refusal.",
    "force": "Takes fields over that other managers own; for apply patches only.",
    "gracePeriodSeconds": "How long the object may take to end; zero deletes at once.",
    "labelSelector": "Restricts the list of returned objects by their labels.",
    "limit": "How many objects a page has at most; more are got by continue.",
    "orphanDependents": "Deprecated: propagationPolicy says what becomes of dependents.",
    "propagationPolicy": "What becomes of dependents: Orphan, Background or Foreground.",
    "resourceVersion": "Which version of the data may be answered.",
    "resourceVersionMatch": "How resourceVersion is meant: NotOlderThan or Exact.",
    "sendInitialEvents": "A watch begins with the objects that exist, and then sends a bookmark.",
    "timeoutSeconds": "When a list or watch ends, whatever it has come to.",
    "watch": "Watch for changes to the described resources: a stream of additions, changes and deletions.",
    "name": "name of the object",
    "namespace": "namespace of the object",
}
_ACTIONS: Final = {
    "get": "read", "put": "replace", "patch": "partially update", "delete": "delete", "post": "create",
    "list": "list or watch", "deletecollection": "delete a collection of",
}  # fmt: skip
# action -> codes that it may answer besides 200
_CODES: Final = {"post": ("201", "202"), "put": ("201",), "patch": ("201",), "delete": ("202",)}
_REASONS: Final = {"200": "OK", "201": "Created", "202": "Accepted"}
_VERBS: Final = {"get": "read", "post": "create", "put": "replace", "deletecollection": "delete"}
_NEEDS_BODY: Final = frozenset(("post", "put", "patch"))
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


NameOf = Callable[[str, str, str], str | None]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; `body` and `answer` name definitions, `patches` types of patches."""

    method: str
    action: str
    id: str
    group: str
    kind: tuple[str, str, str]
    query: tuple[tuple[str, str], ...]
    body: str | None
    answer: str | None
    patches: tuple[str, ...]


def v2(resources: Iterable[Resource], name_of: NameOf = facts.name_of) -> dict[str, Any]:
    """Build `paths` of Swagger 2.0. name_of: names the definition of group, version and kind."""
    found: dict[str, Any] = {}
    for path, parameters, operations in _all(resources, name_of):
        entry: dict[str, Any] = {o.method: _operation_v2(o) for o in operations}
        shared = [
            {**_named(p, "path"), "required": True, "type": "string", "uniqueItems": True} for p in parameters
        ]
        found[path] = {**entry, "parameters": shared} if shared else entry
    return found


def v3(resources: Iterable[Resource], name_of: NameOf = facts.name_of) -> dict[str, Any]:
    """Build `paths` of OpenAPI v3. name_of: as of `v2`."""
    found: dict[str, Any] = {}
    for path, parameters, operations in _all(resources, name_of):
        entry: dict[str, Any] = {o.method: _operation_v3(o) for o in operations}
        shared = [
            {**_named(p, "path"), "required": True, "schema": {"type": "string", "uniqueItems": True}}
            for p in parameters
        ]
        found[path] = {**entry, "parameters": shared} if shared else entry
    return found


def _all(resources: Iterable[Resource], name_of: NameOf) -> Iterator[tuple[str, list[str], list[Operation]]]:
    """Yield path, names in braces, and operations."""
    for resource in resources:
        inside = ["namespace"] if resource.namespaced else []
        collection = resource.path("{namespace}")
        own = (resource.group, resource.version, resource.kind)
        title = f"{'Namespaced' if resource.namespaced else ''}{resource.kind}"
        operations = _operations(resource, own, title, _OF_COLLECTION, resource.verbs, name_of)
        if operations:
            yield collection, inside, operations
        if resource.namespaced and "list" in resource.verbs:
            everywhere = f"{resource.kind}ForAllNamespaces"
            found = _operations(resource, own, everywhere, _OF_COLLECTION, ("list",), name_of)
            yield resource.path(), [], found
        operations = _operations(resource, own, title, _OF_OBJECT, resource.verbs, name_of)
        if operations:
            yield f"{collection}/{{name}}", ["name", *inside], operations
        for sub in resource.subresources:
            kind = (sub.group, sub.version, sub.kind) if sub.version else (*own[:2], sub.kind)
            table = {**_OF_OBJECT, "create": _OF_COLLECTION["create"]}
            below = f"{title}{sub.name.title()}"
            operations = _operations(resource, kind, below, table, sub.verbs, name_of)
            yield f"{collection}/{{name}}/{sub.name}", ["name", *inside], operations


def _operations(
    resource: Resource,
    kind: tuple[str, str, str],
    title: str,
    table: Any,
    verbs: Iterable[str],
    name_of: NameOf,
) -> list[Operation]:
    return [_operation(resource, kind, title, name_of, *table[v]) for v in verbs if v in table]


def _operation(
    resource: Resource,
    kind: tuple[str, str, str],
    title: str,
    name_of: NameOf,
    method: str,
    action: str,
    query: tuple[tuple[str, str], ...],
) -> Operation:
    own = name_of(*kind)
    body = {
        "patch": schemas.PATCH,
        "delete": schemas.DELETE_OPTIONS,
        "deletecollection": schemas.DELETE_OPTIONS,
    }
    answer = own
    if action == "list":
        answer = name_of(resource.group, resource.version, resource.list_kind)
    elif action == "deletecollection" or (action == "delete" and not _answers_deleted(resource)):
        answer = schemas.STATUS
    first, *rest = (resource.group.removesuffix(".k8s.io") or "core").split(".")
    group = first + "".join(part.capitalize() for part in rest)
    verb = _VERBS.get(action, action)
    whole = "Collection" if action == "deletecollection" else ""
    identity = f"{verb}{group[:1].upper()}{group[1:]}{resource.version.capitalize()}{whole}{title}"
    return Operation(
        method=method,
        action=action,
        id=identity,
        group=f"{group}_{resource.version}",
        kind=kind,
        query=query,
        body=body.get(action) or (own if action in _NEEDS_BODY else None),
        answer=answer,
        patches=_PATCH_TYPES if resource.custom is None else _CUSTOM_PATCH_TYPES,
    )


def _answers_deleted(resource: Resource) -> bool:
    # Of namespaces upstream's document says Status, though the last of their deletions answers the object.
    return resource.storage_name in ANSWERED_DELETED and resource.name != "namespaces"


def _named(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "description": _DESCRIPTIONS[name]}


def _shared(operation: Operation) -> dict[str, Any]:
    group, version, kind = operation.kind
    return {
        "description": f"{_ACTIONS[operation.action]} {kind}",
        "operationId": operation.id,
        "tags": [operation.group],
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    }


def _operation_v3(operation: Operation) -> dict[str, Any]:
    found = _shared(operation)
    if operation.query:
        found["parameters"] = [
            {**_named(n, "query"), "schema": {"type": t, "uniqueItems": True}} for n, t in operation.query
        ]
    if operation.body:
        content = {"schema": {"$ref": schemas.V3_PREFIX + operation.body}}
        types = operation.patches if operation.action == "patch" else ("*/*",)
        found["requestBody"] = {"content": dict.fromkeys(types, content)}
        if operation.action in _NEEDS_BODY:
            found["requestBody"]["required"] = True
    answer: dict[str, Any] = {}
    if operation.answer:
        answer = {"content": {_JSON: {"schema": {"$ref": schemas.V3_PREFIX + operation.answer}}}}
    found["responses"] = _responses(operation, answer)
    return found


def _responses(operation: Operation, content: dict[str, Any]) -> dict[str, Any]:
    codes = ("200", *_CODES.get(operation.action, ()))
    answers = {code: {"description": _REASONS[code], **content} for code in codes}
    return {**answers, "401": {"description": "Unauthorized"}}


def _operation_v2(operation: Operation) -> dict[str, Any]:
    found = _shared(operation)
    found["consumes"] = list(operation.patches) if operation.action == "patch" else ["*/*"]
    found["produces"] = [_JSON]
    found["schemes"] = ["https"]
    parameters: list[dict[str, Any]] = [
        {**_named(n, "query"), "type": t, "uniqueItems": True} for n, t in operation.query
    ]
    if operation.body:
        schema = {"$ref": schemas.V2_PREFIX + operation.body}
        parameters.insert(0, {"name": "body", "in": "body", "schema": schema})
        if operation.action in _NEEDS_BODY:
            parameters[0]["required"] = True
    if parameters:
        found["parameters"] = parameters
    content = {"schema": {"$ref": schemas.V2_PREFIX + operation.answer}} if operation.answer else {}
    found["responses"] = _responses(operation, content)
    return found
