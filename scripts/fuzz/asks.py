"""Requests drawn from our OpenAPI: mostly sensible, often wrong, now and then hostile. Pure.

Each worker has a namespace and names of its own, so that what it was answered last is what must be stored.
"""

from __future__ import annotations

import functools
import json
import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import yaml

from nanokube.api import openapi, protobuf_encoder
from nanokube.api.resources import ALL, Resource
from scripts.fuzz import seeds, values

Object = dict[str, Any]

CONNECTS: Final = frozenset(
    {"attach", "exec", "log", "portforward", "proxy"}
)  # these reach for other machines
_NAMES: Final = "abcdefgh"
_PATCHES: Final = {
    "application/json-patch+json": 3,
    "application/merge-patch+json": 3,
    "application/strategic-merge-patch+json": 3,
    "application/apply-patch+yaml": 4,
}
_ACCEPTS: Final = (
    "", "application/json", "*/*", "application/yaml", "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json",
    "text/html", ";;,", "a/b;q=x",
)  # fmt: skip
_QUERY: Final[Mapping[str, Sequence[str]]] = {
    "dryRun": ("All", "All", "all", ""),
    "fieldManager": ("m", "kubectl", "x" * 129, "é\n"),
    "fieldValidation": ("Strict", "Warn", "Ignore", "strict"),
    "force": ("true", "true", "false", "1", "x"),
    "limit": ("1", "2", "500", "0", "-1", "x", "9" * 30),
    "continue": ("", "x", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiIn0", "%00", "=" * 9),
    "resourceVersion": ("", "0", "1", "5", "-1", "x", "9" * 30, "99999999"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "x"),
    "labelSelector": ("app=a", "app in (a,b)", "!x", "a=b,", "((", "x" * 5000, "a>1", "a gt 1", "\u0000"),
    "fieldSelector": (
        "metadata.name=a",
        "metadata.namespace!=x",
        "spec.nodeName=n",
        "status.phase=R",
        "x.y=z",
        "==",
    ),
    "timeoutSeconds": ("1", "0", "-1", "x", "9" * 30),
    "sendInitialEvents": ("true", "false", "x"),
    "allowWatchBookmarks": ("true", "x"),
    "watch": ("true", "false", "1", "x"),
    "pretty": ("true", "x"),
    "gracePeriodSeconds": ("0", "1", "-1", "x", "9" * 30),
    "propagationPolicy": ("Orphan", "Background", "Foreground", "x"),
    "orphanDependents": ("true", "false", "x"),
    "timeout": ("5s", "x", "-1s", "9999999h"),
    "ignoreStoreReadErrorWithClusterBreakingPotential": ("true", "false"),
}


@dataclass(slots=True)
class Ask:
    """One request and what it is about. resource None: a path that is no resource."""

    method: str
    target: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    resource: Resource | None = None
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    resource: Resource
    is_one: bool
    is_namespaced: bool
    subresource: str
    parameters: tuple[str, ...]


class Asker:
    """Draws requests. known: gives the last acknowledged object of a key (storage name, namespace, name)."""

    def __init__(self, rng: random.Random, worker: int) -> None:
        self._rng = rng
        self._worker = worker
        self._operations: list[_Operation] = []
        self._values: dict[str, values.Values] = {}
        for version in dict.fromkeys((r.group, r.version) for r in ALL):
            self._read(*version)
        self.namespace = f"w{worker}"

    def _read(self, group: str, version: str) -> None:
        document = _document(group, version)
        found = values.Values(self._rng, document.get("components", {}).get("schemas", {}))
        rows = {r.plural: r for r in ALL if (r.group, r.version) == (group, version)}
        for path, item in document.get("paths", {}).items():
            resource, rest = _place(path, rows)
            if resource is None or rest.removeprefix("/{name}/").split("/")[0] in CONNECTS:
                continue
            self._values[resource.api_version] = found
            for method, operation in item.items():
                if method == "parameters":
                    continue
                shared = item.get("parameters", ())
                names = tuple(
                    p["name"] for p in (*operation.get("parameters", ()), *shared) if p.get("in") == "query"
                )
                self._operations.append(
                    _Operation(
                        method.upper(),
                        resource,
                        rest.startswith("/{name}"),
                        "{namespace}" in path,
                        rest.removeprefix("/{name}").strip("/"),
                        names,
                    )
                )

    def draw(self, known: Mapping[tuple[str, str, str], Object]) -> Ask:
        """Draw the next request."""
        operation = self._choose()
        resource, rng = operation.resource, self._rng
        is_collection = not operation.is_one and not operation.subresource
        if operation.method == "DELETE" and is_collection and not resource.namespaced:
            return self.draw(known)  # would take what other workers made
        namespace = self.namespace if operation.is_namespaced and resource.namespaced else ""
        if namespace and rng.random() < 0.02:
            namespace = self.name()
        name = self._existing(resource, namespace, known) if operation.is_one else ""
        path = resource.path(namespace, quote(name, safe=""), operation.subresource)
        ask = Ask(operation.method, path, b"", {}, resource, namespace, name, operation.subresource)
        self._fill(ask, operation, known)
        if rng.random() < 0.2:
            ask.headers["accept"] = rng.choice(_ACCEPTS if rng.random() < 0.1 else _ACCEPTS[:4])
        return ask

    def _choose(self) -> _Operation:
        """Draw an operation, creations and what needs an object oftener."""
        wanted = self._rng.choice(("POST", "POST", "PUT", "PATCH", "PATCH", "GET", "DELETE"))
        best = self._rng.choices(self._operations, k=12)
        return next((each for each in best if each.method == wanted), best[0])

    def _existing(
        self, resource: Resource, namespace: str, known: Mapping[tuple[str, str, str], Object]
    ) -> str:
        """Draw the name of one of this worker's objects, mostly of one that is there."""
        mine = f"10.96.{100 + self._worker}." if resource.plural == "ipaddresses" else f"w{self._worker}-"
        kept = (resource.storage_name, namespace)
        found = [key[2] for key in known if key[:2] == kept and key[2].startswith(mine)]
        return self._rng.choice(found) if found and self._rng.random() < 0.9 else self.name(resource)

    def name(self, resource: Resource | None = None) -> str:
        """Draw one of this worker's names, or none that can be."""
        letter = self._rng.choice(_NAMES)
        if self._rng.random() < 0.02:
            return self._rng.choice((".", "..", "A", "a" * 254, "é", "a%b", "a b"))
        if resource is not None and resource.plural == "ipaddresses":
            return f"10.96.{100 + self._worker}.{ord(letter)}"
        return f"w{self._worker}-{letter}"

    def _fill(self, ask: Ask, operation: _Operation, known: Mapping[tuple[str, str, str], Object]) -> None:
        rng = self._rng
        query = {
            key: rng.choice(_QUERY[key])
            for key in (*operation.parameters, "timeout")
            if key in _QUERY and rng.random() < (0.2 if key in ("labelSelector", "limit") else 0.03)
        }
        if ask.method != "GET":
            body: Any
            if ask.method == "PATCH":
                media = rng.choices(list(_PATCHES), list(_PATCHES.values()))[0]
                body = self._patch(media, ask, known)
                if media.startswith("application/apply"):
                    query.setdefault("fieldManager", "applier")
                ask.body, ask.headers = _json(body), {"content-type": media}
            elif ask.method == "DELETE":
                body = self._object("v1", "DeleteOptions", "DeleteOptions") if rng.random() < 0.4 else None
                ask.body = b"" if body is None else _json(body)
                ask.headers = {"content-type": "application/json"}
            else:
                self._encode(ask, self._body(ask, known))
            if rng.random() < 0.03:
                ask.body = _mangled(rng, ask.body)
        # options in the body of a DELETE replace those of the query
        ask.is_dry_run = bool(query.get("dryRun")) and not (ask.method == "DELETE" and ask.body)
        ask.target += "?" + urlencode(query) if query else ""

    def _body(self, ask: Ask, known: Mapping[tuple[str, str, str], Object]) -> Any:
        resource = ask.resource
        assert resource is not None
        old = known.get((resource.storage_name, ask.namespace, ask.name))
        found = resource.subresource(ask.subresource) if ask.subresource else None
        if found is not None and found.kind != resource.kind:
            obj = self._object(found.api_version, found.kind, found.kind)
            return obj | {"metadata": {"name": ask.name}} if self._rng.random() < 0.9 else obj
        if ask.method == "PUT" and old is not None and self._rng.random() < 0.9:
            obj = {**old, "apiVersion": resource.api_version, "kind": resource.kind}
            if self._rng.random() < 0.5:
                obj["metadata"] = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
            return self._mutated(obj, resource, self._rng.choice((0, 1, 1, 2)))
        obj = self._object(resource.api_version, resource.kind, resource.name)
        metadata: Object = {"name": ask.name or self.name(resource)}
        if self._rng.random() < 0.3:
            metadata |= {"labels": {"app": "a"}, "annotations": {"x": "y"}}
        if self._rng.random() < 0.05:
            metadata["finalizers"] = [
                self._rng.choice(("example.com/f", "foregroundDeletion", "orphan", "x"))
            ]
        if not ask.name and self._rng.random() < 0.1:
            metadata = {"generateName": f"w{self._worker}-gen-"}
        if isinstance(obj, dict):
            obj["metadata"] = metadata
            for key in ("involvedObject", "regarding"):  # an Event stands beside its object
                if isinstance(obj.get(key), dict):
                    obj[key] = {**obj[key], "namespace": ask.namespace}
        return obj

    def _object(self, api_version: str, kind: str, key: str) -> Any:
        """Make an object of a kind: the seed changed in no, one or two places, or one by the schema alone."""
        obj = {**seeds.BODIES.get(key, {}), "apiVersion": api_version, "kind": kind}
        row = next((r for r in ALL if r.api_version == api_version and r.kind == kind), None)
        return self._mutated(obj, row, self._rng.choice((0, 0, 1, 1, 2, 4))) if row else obj

    def _mutated(self, obj: Any, resource: Resource, times: int) -> Any:
        found = self._values[resource.api_version]
        schema = self._schema(resource)
        for _ in range(times):
            obj = found.mutate(obj, schema)
        return obj

    def _schema(self, resource: Resource) -> values.Schema:
        found = self._values[resource.api_version]
        wanted = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        for schema in found._schemas.values():
            if wanted in schema.get("x-kubernetes-group-version-kind", ()):
                return schema
        return {}

    def _patch(self, media: str, ask: Ask, known: Mapping[tuple[str, str, str], Object]) -> Any:
        assert ask.resource is not None
        body = self._body(ask, known)
        if media == "application/json-patch+json":
            return self._operations_of(body)
        if not isinstance(body, dict):
            return body
        rng = self._rng
        if media != "application/apply-patch+yaml":
            keys = rng.sample(list(body), rng.randrange(len(body) + 1))
            body = {key: body[key] if rng.random() < 0.9 else None for key in keys}
            if media.startswith("application/strategic") and rng.random() < 0.2:
                _direct(rng, body)
        return body

    def _operations_of(self, body: Any) -> Any:
        rng = self._rng
        paths = [
            "",
            "/",
            "/metadata",
            "/metadata/labels",
            "/metadata/labels/x",
            "/metadata/annotations/a~1b",
            "/spec",
        ]
        paths += _paths(body)
        made = []
        for _ in range(rng.choice((0, 1, 1, 2, 5))):
            operation: Object = {"op": rng.choice(("add", "replace", "remove", "test", "move", "copy", "x"))}
            operation["path"] = rng.choice(paths) + rng.choice(("", "", "", "/-", "/0", "/9", "~"))
            operation["from"] = rng.choice(paths)
            operation["value"] = self._values["v1"].anything()
            made.append(operation)
        return made if rng.random() < 0.95 else self._values["v1"].anything()

    def _encode(self, ask: Ask, obj: Any) -> None:
        kind = self._rng.random()
        if kind < 0.15 and isinstance(obj, dict):
            try:
                ask.body = protobuf_encoder.encode(obj)
                ask.headers = {"content-type": "application/vnd.kubernetes.protobuf"}
                return
            except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, struct.error):
                pass  # what has no such form goes as JSON
        if kind > 0.9:
            ask.body = yaml.safe_dump(obj).encode("utf-8", "surrogatepass") if kind > 0.95 else _json(obj)
            ask.headers = {"content-type": "application/yaml"}
            return
        ask.body, ask.headers = _json(obj), {"content-type": "application/json"}


@functools.cache
def _document(group: str, version: str) -> Object:
    found: Object = json.loads(openapi.v3_document(group, version) or b"{}")
    return found


def _place(path: str, rows: Mapping[str, Resource]) -> tuple[Resource | None, str]:
    """Split a path's template into the resource and what follows it."""
    parts = path.split("/")
    at = 3 if path.startswith("/api/") else 4
    if len(parts) > at + 2 and parts[at] == "namespaces" and parts[at + 1] == "{namespace}":
        at += 2
    found = rows.get(parts[at]) if len(parts) > at else None
    return found, "/" + "/".join(parts[at + 1 :]) if found and len(parts) > at + 1 else ""


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _paths(value: Any, path: str = "") -> list[str]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _paths(inner, f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}")
    return found


def _direct(rng: random.Random, body: Object) -> None:
    """Put a directive of strategic merge somewhere."""
    at: Any = body
    while isinstance(at, dict) and at and rng.random() < 0.7:
        inner = rng.choice(list(at.values()))
        at = inner[0] if isinstance(inner, list) and inner else inner
    if isinstance(at, dict):
        key = rng.choice(
            ("$patch", "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers")
        )
        at[key] = rng.choice(("replace", "delete", "merge", "x", [], ["a"], [{"name": "c"}], None, 1, {}))


def _mangled(rng: random.Random, body: bytes) -> bytes:
    """Spoil a body: cut, flipped bits, repeated parts, other encodings, bombs."""
    at = rng.randrange(len(body) + 1)
    match rng.randrange(8):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
        case 2:
            return body[:at] + body
        case 3:
            return b"[" * 20_000
        case 4:
            return b'{"a":' * 3000
        case 5:
            return body.replace(b'"', b'"\\ud800', 3)
        case 6:
            return b'{"kind":"Pod","kind":"Pod",' + body[1:]
    return body.replace(b"1", rng.choice((b"1e400", b"NaN", b"-Infinity", b"9" * 400, b"1" * 5000)), 2)
