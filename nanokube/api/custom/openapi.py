"""OpenAPI of one version of a custom kind, for both versions of OpenAPI. Pure.

Version 2 says less: clients that read it take what is not listed for forbidden, so that wherever a schema
lets unknown fields pass, or null, nothing is said of what is below.
Source: apiextensions-apiserver/pkg/controller/openapi/{builder/builder.go,v2/conversion.go},
pkg/apiserver/schema/{kubeopenapi,unfold}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nanokube.api.custom.kind import CustomKind
from nanokube.api.openapi import paths, schemas
from nanokube.api.resource import Resource

Schema = dict[str, Any]
Document = tuple[dict[str, Any], dict[str, Schema]]

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
OBJECT_META: Final = f"{_META}.ObjectMeta"
LIST_META: Final = f"{_META}.ListMeta"
SCALE: Final = "io.k8s.api.autoscaling.v1.Scale"
# what the documents refer to besides their own definitions
SHARED: Final = (OBJECT_META, LIST_META, SCALE, schemas.STATUS, schemas.DELETE_OPTIONS, schemas.PATCH)

_PRESERVES: Final = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_EMBEDDED: Final = "x-kubernetes-embedded-resource"
_GROUP_VERSION_KIND: Final = "x-kubernetes-group-version-kind"
_SELECTABLE: Final = "x-kubernetes-selectable-fields"
_JUNCTORS: Final = ("allOf", "anyOf", "oneOf", "not")
_EITHER: Final = ({"type": "integer"}, {"type": "string"})


@dataclass(frozen=True, slots=True)
class Descriptions:
    """What built-in kinds say of the fields that every object has."""

    api_version: str = ""
    kind: str = ""
    metadata: str = ""
    list_metadata: str = ""


def name_of(group: str, version: str, kind: str) -> str:
    """Name the definition of a custom kind, its group back to front."""
    return ".".join((*reversed(group.split(".")), version, kind))


def v2(resource: Resource, said: Descriptions) -> Document:
    """Build the paths and definitions of a resource for Swagger 2.0."""
    return paths.v2([resource], _name), _definitions(resource, said, is_v2=True)


def v3(resource: Resource, said: Descriptions) -> Document:
    """Build the paths and component schemas of a resource for OpenAPI v3."""
    return paths.v3([resource], _name), _definitions(resource, said, is_v2=False)


def _name(group: str, version: str, kind: str) -> str | None:
    return SCALE if (group, kind) == ("autoscaling", "Scale") else name_of(group, version, kind)


def _definitions(resource: Resource, said: Descriptions, *, is_v2: bool) -> dict[str, Schema]:
    kind = resource.custom
    assert kind is not None
    writer = _Writer(kind, said, is_v2)
    own = name_of(kind.group, kind.version, kind.kind)
    listed = name_of(kind.group, kind.version, kind.list_kind)
    return {own: writer.object(), listed: writer.list_(own, resource.plural)}


class _Writer:
    """Writes the definitions of one kind."""

    def __init__(self, kind: CustomKind, said: Descriptions, is_v2: bool) -> None:
        self._kind = kind
        self._said = said
        self._is_v2 = is_v2

    def object(self) -> Schema:
        """Write the kind itself."""
        schema, kind = self._kind.schema, self._kind
        is_open = schema is None or (
            self._is_v2 and bool(schema.get(_PRESERVES) or kind.preserves_unknown_fields)
        )
        if schema is None or is_open:
            found: Schema = {"type": "object"}
        else:
            found = self._write(schema)
            found["properties"] = {**found.get("properties", {}), **self._type_meta()}
            found["properties"]["metadata"] = self._refer(OBJECT_META, self._said.metadata)
        return self._extend(found, kind.kind)

    def list_(self, item: str, plural: str) -> Schema:
        """Write the kind of lists."""
        more = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
        items = {
            "type": "array",
            "items": self._refer(item),
            "description": f"List of {plural}. More info: {more}",
        }
        metadata = self._refer(LIST_META, f"Standard list metadata. More info: {more}#types-kinds")
        found = {
            "type": "object",
            "description": f"{self._kind.list_kind} is a list of {self._kind.kind}",
            "required": ["items"],
            "properties": {**self._type_meta(), "items": items, "metadata": metadata},
        }
        return self._extend(found, self._kind.list_kind)

    def _extend(self, found: Schema, kind: str) -> Schema:
        found[_GROUP_VERSION_KIND] = [
            {"group": self._kind.group, "version": self._kind.version, "kind": kind}
        ]
        fields = sorted(self._kind.selectable_fields)
        if fields:
            found[_SELECTABLE] = [{"fieldPath": each} for each in fields]
        return found

    def _refer(self, name: str, description: str = "") -> Schema:
        if self._is_v2:
            found: Schema = {"$ref": schemas.V2_PREFIX + name}
            return {**found, "description": description} if description else found
        found = {"$ref": schemas.V3_PREFIX + name}
        return {"allOf": [found], "description": description} if description else found

    def _type_meta(self) -> dict[str, Schema]:
        texts = {"apiVersion": self._said.api_version, "kind": self._said.kind}
        return {key: {"type": "string", "description": text} for key, text in texts.items()}

    def _write(self, schema: Mapping[str, Any]) -> Schema:
        """Write a schema of the tree, and those below."""
        found: Schema = {}
        for key, value in schema.items():
            if value is None or (value is False and key != "default") or (key == "required" and not value):
                continue
            if key == "properties":
                found[key] = {name: self._write(each) for name, each in value.items()}
            elif key in ("items", "additionalProperties"):
                found[key] = self._write(value) if isinstance(value, Mapping) else value
            elif not (self._is_v2 and key in _JUNCTORS):
                found[key] = value
        if schema.get("additionalProperties") is False:
            found["additionalProperties"] = False
        if self._is_v2:
            _restrict(found, schema)
        elif found.get(_INT_OR_STRING):
            _unfold(found)
        if found.get(_EMBEDDED) and not (self._is_v2 and found.get(_PRESERVES)):
            found["properties"] = {**found.get("properties", {}), **self._type_meta()}
            found["properties"]["metadata"] = self._refer(OBJECT_META, self._said.metadata)
            required = found.get("required", [])
            found["required"] = [*required, *(k for k in ("kind", "apiVersion") if k not in required)]
        return found


def _restrict(found: Schema, schema: Mapping[str, Any]) -> None:
    """Take away, in place, what clients of version 2 would read wrong."""
    drop: Callable[..., Any] = found.pop
    if drop("nullable", None):
        for key in ("type", "items", "properties"):
            drop(key, None)
    if found.get(_PRESERVES):
        for key in ("items", "properties"):
            drop(key, None)
        if found.get("type") == "object":
            drop("type")
    if found.get("type") == "array" and "items" not in found:
        drop("type")
    below = schema.get("properties") or {}
    required = [key for key in found.get("required", ()) if not (below.get(key) or {}).get("nullable")]
    others = schema.get("additionalProperties")
    if isinstance(others, Mapping) and others.get("nullable"):
        required = []
    if required:
        found["required"] = required
    else:
        drop("required", None)


def _unfold(found: Schema) -> None:
    """Say, in place, that an integer or a string is meant, unless that is said."""
    either = list(_EITHER)
    first = (found.get("allOf") or [{}])[0]
    if found.get("anyOf") == either or first.get("anyOf") == either:
        return
    if "anyOf" not in found:
        found["anyOf"] = either
    else:
        found["allOf"] = [{"anyOf": either}, *found.get("allOf", ())]
