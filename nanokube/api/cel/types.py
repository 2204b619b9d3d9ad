"""Types of CEL expressions, and the types that OpenAPI schemas declare. Pure.

A type carries, beside its CEL identity, what the cost rules need of its declaration: the largest number
of elements a value may have, and the fewest bytes of JSON it takes. Two types are equal if their CEL
identities are.

Source: cel-go common/types, k8s.io/apiserver/pkg/cel types.go, limits.go, common/schemas.go.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from nanokube.api.cel import escaping

MAX_REQUEST_BYTES = 3 * 1024 * 1024  # apis/cel/config.go

_MIN_STRING = 2  # ""
_MIN_BOOL = 4  # true
_MIN_NUMBER = 1  # 0
_MIN_DURATION, _MAX_DURATION = 3, 32
_DATE = 12
_MIN_DATETIME, _MAX_DATETIME = 21, 32


@dataclasses.dataclass(frozen=True, slots=True)
class Type:
    """One CEL type.

    kind: bool, int, uint, double, string, bytes, duration, timestamp, null, dyn, error, list, map, struct
        (fields by name), opaque, type, param.
    fields: of a struct, by the name that expressions use (escaped where it must be).
    max_elements: of strings, bytes, lists, maps; -1 if the declaration says nothing.
    list_type, list_keys: `set` or `map` of x-kubernetes-list-type; such lists compare without order.
    """

    kind: str
    name: str
    params: tuple[Type, ...] = ()
    fields: Mapping[str, Type] | None = dataclasses.field(default=None, compare=False, repr=False)
    max_elements: int = dataclasses.field(default=-1, compare=False)
    min_size: int = dataclasses.field(default=1, compare=False)
    list_type: str = dataclasses.field(default="", compare=False)
    list_keys: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    def __str__(self) -> str:
        """As checker messages print it."""
        if self.kind == "error":
            return "!error!"
        if not self.params:
            return self.name
        return f"{self.name}({', '.join(map(str, self.params))})"


BOOL = Type("bool", "bool", min_size=_MIN_BOOL)
INT = Type("int", "int", min_size=_MIN_NUMBER)
UINT = Type("uint", "uint")
DOUBLE = Type("double", "double", min_size=_MIN_NUMBER)
STRING = Type("string", "string", min_size=_MIN_STRING)
BYTES = Type("bytes", "bytes", min_size=_MIN_STRING)
DURATION = Type("duration", "duration", min_size=_MIN_DURATION)
TIMESTAMP = Type("timestamp", "timestamp", min_size=_DATE)
NULL = Type("null", "null", min_size=4)
DYN = Type("dyn", "dyn")
ERROR = Type("error", "!error!")
TYPE = Type("type", "type")

QUANTITY = Type("struct", "kubernetes.Quantity", min_size=8)
URL = Type("struct", "kubernetes.URL")
SEMVER = Type("struct", "kubernetes.Semver")
FORMAT = Type("struct", "kubernetes.NamedFormat")
IP = Type("opaque", "net.IP")
CIDR = Type("opaque", "net.CIDR")
AUTHORIZER = Type("struct", "kubernetes.authorization.Authorizer")
PATH_CHECK = Type("struct", "kubernetes.authorization.PathCheck")
GROUP_CHECK = Type("struct", "kubernetes.authorization.GroupCheck")
RESOURCE_CHECK = Type("struct", "kubernetes.authorization.ResourceCheck")
DECISION = Type("struct", "kubernetes.authorization.Decision")
JSON_PATCH = Type(
    "struct",
    "JSONPatch",
    fields={"op": STRING, "path": STRING, "from": STRING, "value": DYN},
)

VALUE_TYPES = (QUANTITY, URL, SEMVER, FORMAT, IP, CIDR)
AUTHORIZER_TYPES = (AUTHORIZER, PATH_CHECK, GROUP_CHECK, RESOURCE_CHECK, DECISION)


def list_of(element: Type, max_elements: int = -1) -> Type:
    """Make the type of lists of `element`."""
    return Type("list", "list", (element,), max_elements=max_elements, min_size=2)


def map_of(key: Type, value: Type, max_elements: int = -1) -> Type:
    """Make the type of maps."""
    return Type("map", "map", (key, value), max_elements=max_elements, min_size=2)


def optional_of(value: Type) -> Type:
    """Make the type of optional values."""
    return Type("opaque", "optional_type", (value,))


def type_of(value: Type) -> Type:
    """Make the type of the type `value`."""
    return Type("type", "type", (value,))


def param(name: str) -> Type:
    """Make a type variable."""
    return Type("param", name)


def struct(name: str, fields: Mapping[str, Type]) -> Type:
    """Make an object type; fields by the names that expressions use."""
    return Type("struct", name, fields=fields, min_size=2)


def from_schema(
    schema: Mapping[str, Any], *, name: str = "object", resource_root: bool | None = None
) -> Type:
    """Declare the type of values of a structural OpenAPI v3 schema.

    name: the type's name; fields are `name.field`, elements `name.@idx` and `name.@elem`.
    resource_root: whether the value is a whole resource (apiVersion, kind and the name and generateName of
        metadata can always be read); by default as x-kubernetes-embedded-resource says.
    A schema that declares nothing gives DYN.
    """
    root = bool(schema.get("x-kubernetes-embedded-resource")) if resource_root is None else resource_root
    return _declare(schema, name, root) or DYN


def _declare(schema: Mapping[str, Any], name: str, root: bool) -> Type | None:
    if schema.get("x-kubernetes-int-or-string"):
        longest = schema.get("maxLength")
        limit = MAX_REQUEST_BYTES - 2 if longest is None else max(longest, 0) * 4
        return dataclasses.replace(DYN, max_elements=limit)
    if root:
        schema = _with_metadata(schema)
    match schema.get("type"):
        case "array":
            return _array(schema, name)
        case "object":
            return _object(schema, name)
        case "string":
            return _string(schema)
        case "boolean":
            return BOOL
        case "number":
            return DOUBLE
        case "integer":
            return INT
    return None


def _with_metadata(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = dict(schema.get("properties") or {})
    text = {"type": "string"}
    if properties.get("kind", {}).get("type") == properties.get("apiVersion", {}).get("type") == "string":
        meta = properties.get("metadata", {}).get("properties") or {}
        if {"name", "generateName"} <= set(meta):
            return schema
    properties |= {"kind": text, "apiVersion": text}
    properties["metadata"] = {"type": "object", "properties": {"name": text, "generateName": text}}
    return {**schema, "properties": properties}


def _embedded(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("x-kubernetes-embedded-resource"))


def _array(schema: Mapping[str, Any], name: str) -> Type | None:
    items = schema.get("items")
    element = _declare(items, f"{name}.@idx", _embedded(items)) if isinstance(items, Mapping) else None
    if element is None:
        return None
    limit = schema.get("maxItems")
    most = (MAX_REQUEST_BYTES - 2) // (element.min_size + 1) if limit is None else max(limit, 0)
    return dataclasses.replace(
        list_of(element, most),
        list_type=schema.get("x-kubernetes-list-type") or "",
        list_keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
    )


def _object(schema: Mapping[str, Any], name: str) -> Type | None:
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping):
        value = _declare(values, f"{name}.@elem", _embedded(values))
        if value is None:
            return None
        limit = schema.get("maxProperties")
        # a key takes at least 2 bytes, with quotes, colon and comma 6
        most = (MAX_REQUEST_BYTES - 2) // (value.min_size + 6) if limit is None else max(limit, 0)
        return map_of(STRING, value, most)
    fields = {}
    required = set(schema.get("required") or ())
    size = 2
    for key, child in (schema.get("properties") or {}).items():
        declared = _declare(child, f"{name}.{key}", _embedded(child))
        if declared is None:
            continue
        if (escaped := escaping.escape(key)) is not None:
            fields[escaped] = declared
        if key in required and child.get("default") is None:
            size += len(key) + declared.min_size + 4
    return dataclasses.replace(struct(name, fields), min_size=size)


def _string(schema: Mapping[str, Any]) -> Type:
    longest = schema.get("maxLength")
    match schema.get("format"):
        case "byte":
            limit = MAX_REQUEST_BYTES - 2 if longest is None else max(longest, 0)
            return dataclasses.replace(BYTES, max_elements=limit)
        case "duration":
            return dataclasses.replace(DURATION, max_elements=_MAX_DURATION)
        case "date":
            return dataclasses.replace(TIMESTAMP, max_elements=_DATE)
        case "date-time":
            return dataclasses.replace(TIMESTAMP, max_elements=_MAX_DATETIME, min_size=_MIN_DATETIME)
    if longest is not None:
        limit = max(longest, 0) * 4  # maxLength counts runes, of at most four bytes
    elif schema.get("enum"):
        limit = max((len(item.encode()) for item in schema["enum"] if isinstance(item, str)), default=0)
    else:
        limit = MAX_REQUEST_BYTES - 2
    return dataclasses.replace(STRING, max_elements=limit)
