"""Paths and operations of resources, for both versions of OpenAPI. Pure.

kubectl reads from them which kind a resource has (`x-kubernetes-group-version-kind`) and whether PATCH knows
`fieldValidation` and `dryRun`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from nanokube.api import facts
from nanokube.api.openapi import schemas
from nanokube.api.resources import ANSWERED_DELETED, Resource, Subresource

_PATCH_TYPES: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/apply-patch+cbor",
)
_CUSTOM_PATCH_TYPES: Final = tuple(t for t in _PATCH_TYPES if "strategic" not in t and "cbor" not in t)
ANY: Final = ("*/*",)
PLAIN: Final = ("application/json", "application/yaml")
TYPES: Final = (*PLAIN, "application/vnd.kubernetes.protobuf")
_ALL_TYPES: Final = (*TYPES, "application/cbor")
_STREAMS: Final = (
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/cbor-seq",
)
TEXT: Final = "text"
"""The answer that is no object."""
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
_PRETTY: Final = (("pretty", "string"),)
_FLOWS: Final = (("stderr", "boolean"), ("stdin", "boolean"), ("stdout", "boolean"), ("tty", "boolean"))
# subresource that is no object -> what may be asked of it
_CONNECTION: Final = {
    "attach": (("container", "string"), *_FLOWS),
    "exec": (("command", "string"), ("container", "string"), *_FLOWS),
    "portforward": (("ports", "integer"),),
    "proxy": (("path", "string"),),
}
_LOG: Final = (
    ("container", "string"),
    ("follow", "boolean"),
    ("insecureSkipTLSVerifyBackend", "boolean"),
    ("limitBytes", "integer"),
    *_PRETTY,
    ("previous", "boolean"),
    ("sinceSeconds", "integer"),
    ("stream", "string"),
    ("tailLines", "integer"),
    ("timestamps", "boolean"),
)
_PROXY_METHODS: Final = ("delete", "get", "head", "options", "patch", "post", "put")
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
    "namespace": "namespace of the object",
    "pretty": "Whether the answer is indented for people; it is for browsers, curl and wget without asking.",
    "command": "A word of the command, which no shell reads; given once for each.",
    "container": "The container that is meant, if there are several.",
    "stderr": "Passes on what is written to standard error.",
    "stdin": "Passes on what is sent to standard input.",
    "stdout": "Passes on what is written to standard output.",
    "tty": "Gives the command a terminal.",
    "ports": "The ports that are forwarded, for WebSockets.",
    "path": "The path that is asked for behind the proxy.",
    "follow": "Goes on with what is written from now on.",
    "insecureSkipTLSVerifyBackend": "Believes the kubelet whatever its certificate.",
    "limitBytes": "Ends after so many bytes.",
    "previous": "Reads the log of the container that ran before.",
    "sinceSeconds": "Begins so many seconds ago.",
    "stream": "Reads one stream: Stdout or Stderr; All for both.",
    "tailLines": "Begins so many lines before the end.",
    "timestamps": "Begins each line with its time.",
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


_OF_SUBRESOURCE: Final = {**_OF_OBJECT, "create": _OF_COLLECTION["create"]}

NameOf = Callable[[str, str, str], str | None]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; `body` and `answer` name definitions, unless the answer is TEXT.

    kind: group, version and kind of the object; None, of what is no resource.
    """

    method: str
    action: str
    id: str
    group: str
    kind: tuple[str, str, str] | None
    query: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    answer: str | None = None
    consumes: Sequence[str] = ANY
    produces: Sequence[str] = _ALL_TYPES
    description: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """One path. names: what is in braces. query: what may be asked with each method. kind: whose `name`."""

    path: str
    names: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    operations: Sequence[Operation]
    kind: str = ""


def v2(resources: Iterable[Resource], name_of: NameOf = facts.name_of) -> dict[str, Any]:
    """Build `paths` of Swagger 2.0. name_of: names the definition of group, version and kind."""
    return write_v2(of(resources, name_of))


def write_v2(all_: Iterable[Path]) -> dict[str, Any]:
    """Write paths for Swagger 2.0."""
    found: dict[str, Any] = {}
    for path in map(_hoisted, all_):
        entry: dict[str, Any] = {o.method: _operation_v2(o) for o in path.operations}
        shared = [
            {**_parameter(path, n), "required": True, "type": "string", "uniqueItems": True}
            for n in path.names
        ]
        shared += [{**_named(n, "query"), "type": t, "uniqueItems": True} for n, t in path.query]
        found[path.path] = {**entry, "parameters": shared} if shared else entry
    return found


def v3(resources: Iterable[Resource], name_of: NameOf = facts.name_of) -> dict[str, Any]:
    """Build `paths` of OpenAPI v3. name_of: as of `v2`."""
    return write_v3(of(resources, name_of))


def write_v3(all_: Iterable[Path]) -> dict[str, Any]:
    """Write paths for OpenAPI v3."""
    found: dict[str, Any] = {}
    for path in map(_hoisted, all_):
        entry: dict[str, Any] = {o.method: _operation_v3(o) for o in path.operations}
        shared = [
            {**_parameter(path, n), "required": True, "schema": {"type": "string", "uniqueItems": True}}
            for n in path.names
        ]
        shared += [{**_named(n, "query"), "schema": {"type": t, "uniqueItems": True}} for n, t in path.query]
        found[path.path] = {**entry, "parameters": shared} if shared else entry
    return found


def _hoisted(path: Path) -> Path:
    """Say once what every operation of a path asks for in the query, as upstream does."""
    asked = [set(each.query) for each in path.operations]
    common = set.intersection(*asked) - set(path.query) if asked else set()
    operations = [replace(o, query=tuple([q for q in o.query if q not in common])) for o in path.operations]
    return replace(path, query=(*path.query, *sorted(common)), operations=operations)


def of(resources: Iterable[Resource], name_of: NameOf = facts.name_of) -> Iterator[Path]:
    """Yield the paths of resources. name_of: as of `v2`."""
    for resource in resources:
        inside = ("namespace",) if resource.namespaced else ()
        collection = resource.path("{namespace}")
        own = (resource.group, resource.version, resource.kind)
        title = f"{'Namespaced' if resource.namespaced else ''}{resource.kind}"
        operations = _operations(resource, own, title, _OF_COLLECTION, resource.verbs, name_of)
        if operations:
            yield Path(collection, inside, _PRETTY, operations)
        if resource.namespaced and "list" in resource.verbs:
            everywhere = f"{resource.kind}ForAllNamespaces"
            found = _operations(resource, own, everywhere, _OF_COLLECTION, ("list",), name_of)
            yield Path(resource.path(), (), _PRETTY, found)
        names = ("name", *inside)
        operations = _operations(resource, own, title, _OF_OBJECT, resource.verbs, name_of)
        if operations:
            yield Path(f"{collection}/{{name}}", names, _PRETTY, operations, resource.kind)
        for sub in resource.subresources:
            yield from _below(resource, sub, f"{collection}/{{name}}/{sub.name}", names, name_of)


def _below(
    resource: Resource, sub: Subresource, path: str, names: tuple[str, ...], name_of: NameOf
) -> Iterator[Path]:
    """Yield the paths of a subresource."""
    own = (resource.group, resource.version, resource.kind)
    title = f"{'Namespaced' if resource.namespaced else ''}{resource.kind}{sub.name.title()}"
    if sub.name in _CONNECTION:
        query = _CONNECTION[sub.name]
        yield Path(path, names, query, list(_connections(resource, sub, title)), sub.kind)
        if sub.name == "proxy":
            below = list(_connections(resource, sub, f"{title}WithPath"))
            yield Path(f"{path}/{{path}}", (*names, "path"), query, below, sub.kind)
        return
    kind = (sub.group, sub.version, sub.kind) if sub.version else (*own[:2], sub.kind)
    operations = _operations(resource, kind, title, _OF_SUBRESOURCE, sub.verbs, name_of)
    if sub.name == "log":
        produces = ("text/plain", *_ALL_TYPES)
        log = [replace(each, kind=own, answer=TEXT, produces=produces) for each in operations]
        yield Path(path, names, _LOG, log, resource.kind)
    else:
        yield Path(path, names, _PRETTY, operations, sub.kind)


def _connections(resource: Resource, sub: Subresource, title: str) -> Iterator[Operation]:
    """Yield the methods that connect to something."""
    for method in _PROXY_METHODS if sub.name == "proxy" else ("get", "post"):
        yield Operation(
            method=method,
            action="connect",
            id=f"connect{_identity(resource)}{method.title()}{title}",
            group=f"{group_title(resource.group)}_{resource.version}",
            kind=(resource.group, resource.version, sub.kind),
            answer=TEXT,
            produces=ANY,
            description=f"connect {method.upper()} requests to {sub.name} of {resource.kind}",
        )


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
    verb = _VERBS.get(action, action)
    whole = "Collection" if action == "deletecollection" else ""
    is_custom = resource.custom is not None
    consumes: Sequence[str] = PLAIN if is_custom else ANY
    if action == "patch":
        consumes = _CUSTOM_PATCH_TYPES if is_custom else _PATCH_TYPES
    produces: Sequence[str] = PLAIN if is_custom else _ALL_TYPES
    return Operation(
        method=method,
        action=action,
        id=f"{verb}{_identity(resource)}{whole}{title}",
        group=f"{group_title(resource.group)}_{resource.version}",
        kind=kind,
        query=query,
        body=body.get(action) or (own if action in _NEEDS_BODY else None),
        answer=answer,
        consumes=consumes,
        produces=(*produces, *_STREAMS) if action == "list" and not is_custom else produces,
        description=f"{_ACTIONS[action]} {kind[2]}",
    )


def group_title(group: str) -> str:
    """Name a group in names of operations: "core", "apps", "rbacAuthorization"."""
    first, *rest = (group.removesuffix(".k8s.io") or "core").split(".")
    return first + "".join(part.capitalize() for part in rest)


def _identity(resource: Resource) -> str:
    return capital(group_title(resource.group)) + resource.version.capitalize()


def capital(text: str) -> str:
    """Begin with a capital letter, and leave the others as they are."""
    return f"{text[:1].upper()}{text[1:]}"


def _answers_deleted(resource: Resource) -> bool:
    # Of namespaces upstream's document says Status, though the last of their deletions answers the object.
    return resource.storage_name in ANSWERED_DELETED and resource.name != "namespaces"


def _named(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "description": _DESCRIPTIONS[name]}


def _parameter(path: Path, name: str) -> dict[str, Any]:
    if name == "name":
        return {"name": name, "in": "path", "description": f"name of the {path.kind}"}
    return _named(name, "path")


def _shared(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": operation.description,
        "operationId": operation.id,
        "tags": [operation.group],
    }
    if operation.kind is not None:
        group, version, kind = operation.kind
        found["x-kubernetes-action"] = operation.action
        found["x-kubernetes-group-version-kind"] = {"group": group, "version": version, "kind": kind}
    return found


def _operation_v3(operation: Operation) -> dict[str, Any]:
    found = _shared(operation)
    if operation.query:
        found["parameters"] = [
            {**_named(n, "query"), "schema": {"type": t, "uniqueItems": True}} for n, t in operation.query
        ]
    if operation.body:
        content = {"schema": {"$ref": schemas.V3_PREFIX + operation.body}}
        found["requestBody"] = {"content": dict.fromkeys(operation.consumes, content)}
        if operation.action in _NEEDS_BODY:
            found["requestBody"]["required"] = True
    schema = _answer(operation, schemas.V3_PREFIX)
    answer = {"content": dict.fromkeys(operation.produces, schema)} if schema else {}
    found["responses"] = _responses(operation, answer)
    return found


def _answer(operation: Operation, prefix: str) -> dict[str, Any]:
    if operation.answer == TEXT:
        return {"schema": {"type": "string"}}
    return {"schema": {"$ref": prefix + operation.answer}} if operation.answer else {}


def _responses(operation: Operation, content: dict[str, Any]) -> dict[str, Any]:
    codes = ("200", *_CODES.get(operation.action, ()))
    answers = {code: {"description": _REASONS[code], **content} for code in codes}
    return {**answers, "401": {"description": "Unauthorized"}}


def _operation_v2(operation: Operation) -> dict[str, Any]:
    found = _shared(operation)
    if operation.consumes:
        found["consumes"] = list(operation.consumes)
    found["produces"] = list(operation.produces)
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
    found["responses"] = _responses(operation, _answer(operation, schemas.V2_PREFIX))
    return found
