"""What must hold of lists and maps that apply merges: their types and keys. Pure.

Source: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import field
from nanokube.api.custom.options import Options
from nanokube.api.field import FieldError

Schema = Mapping[str, Any]

_PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
_LIST, _MAP, _KEYS = "x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-list-map-keys"
_LIST_TYPES: Final = ("atomic", "set", "map")
_MAP_TYPES: Final = ("atomic", "granular")


def validate(schema: Schema, path: str, options: Options) -> list[FieldError]:
    """Check the extensions of one schema that say how it is merged."""
    found: list[FieldError] = []
    if schema.get(_PRESERVE) is False:
        found.append(field.invalid(f"{path}.{_PRESERVE}", False, "must be true or undefined"))
    list_type, map_type, keys = schema.get(_LIST), schema.get(_MAP), schema.get(_KEYS) or []
    if map_type is not None:
        found += _needs_type(schema, path, "object", _MAP)
        if map_type not in _MAP_TYPES:
            found.append(field.not_supported(f"{path}.{_MAP}", map_type, _MAP_TYPES))
    if list_type is not None:
        wrong = _needs_type(schema, path, "array", _LIST)
        found += wrong
        if not wrong and options.requires_atomic_sets:
            found += _atomic_items(schema, path)
        if list_type not in _LIST_TYPES:
            found.append(field.not_supported(f"{path}.{_LIST}", list_type, _LIST_TYPES))
    if keys and list_type != "map":
        said = f"must be map if {_KEYS} is non-empty"
        here = f"{path}.{_LIST}"
        found.append(
            field.required(here, said) if list_type is None else field.invalid(here, list_type, said)
        )
    if list_type == "map":
        found += _map_list(schema, path, keys)
    if options.requires_list_keys:
        found += keyed_items(schema, path)
    return found


def _needs_type(schema: Schema, path: str, wanted: str, extension: str) -> list[FieldError]:
    type_ = schema.get("type") or ""
    if type_ == wanted:
        return []
    said = f"must be {wanted} if {extension} is specified"
    return [field.invalid(f"{path}.type", type_, said) if type_ else field.required(f"{path}.type", said)]


def has_other_than_atomic(schema: Schema) -> bool:
    """Tell whether a set has items that are merged themselves."""
    items = schema.get("items")
    if schema.get(_LIST) != "set" or type(items) is not dict:
        return False
    if items.get("type") == "array":
        return items.get(_LIST) not in (None, "atomic")
    return items.get("type") == "object" and items.get(_MAP) != "atomic"


def _atomic_items(schema: Schema, path: str) -> list[FieldError]:
    if not has_other_than_atomic(schema):
        return []
    items = schema["items"]
    key = _LIST if items["type"] == "array" else _MAP
    said = "must be atomic as item of a list with x-kubernetes-list-type=set"
    return [field.invalid(f"{path}.items.{key}", items.get(_LIST), said)]


def _map_list(schema: Schema, path: str, keys: list[str]) -> list[FieldError]:
    found, items = list[FieldError](), schema.get("items")
    if not keys:
        said = f"must not be empty if {_LIST} is map"
        found.append(field.required(f"{path}.{_KEYS}", said))
    if items is None:
        said = f"must have a schema if {_LIST} is map"
        return [*found, field.required(f"{path}.items", said)]
    if type(items) is list:
        said = f"must only have a single schema if {_LIST} is map"
        return [*found, field.invalid(f"{path}.items", items, said)]
    if items.get("type") != "object":
        said = f"must be object if parent array's {_LIST} is map"
        return [*found, field.invalid(f"{path}.items.type", items.get("type") or "", said)]
    properties, seen = items.get("properties") or {}, set[str]()
    for key in keys:
        if key not in properties:
            said = "entries must all be names of item properties"
            found.append(field.invalid(f"{path}.{_KEYS}", keys, said))
        elif properties[key].get("type") in ("array", "object"):
            said = f"must be a scalar type if parent array's {_LIST} is map"
            found.append(field.invalid(f"{path}.items.properties[{key}].type", items["type"], said))
        if key in seen:
            found.append(field.invalid(f"{path}.{_KEYS}", keys, "must not contain duplicate entries"))
        seen.add(key)
    return found


def keyed_items(schema: Schema, path: str) -> list[FieldError]:
    """Check that items of sets and maps are there, and so are their keys."""
    items, list_type = schema.get("items"), schema.get(_LIST)
    if type(items) is not dict or list_type not in ("set", "map"):
        return []
    found: list[FieldError] = []
    if items.get("nullable"):
        said = f"cannot be nullable when {_LIST} is {list_type}"
        found.append(field.forbidden(f"{path}.items.nullable", said))
    if list_type == "set":
        return found
    required, properties = items.get("required") or (), items.get("properties") or {}
    for key in schema.get(_KEYS) or ():
        if key not in properties:
            continue
        here = f"{path}.items.properties[{key}]"
        if key not in required and properties[key].get("default") is None:
            said = f"this property is in {_KEYS}, so it must have a default or be a required property"
            found.append(field.required(f"{here}.default", said))
        if properties[key].get("nullable"):
            said = f"this property is in {_KEYS}, so it cannot be nullable"
            found.append(field.forbidden(f"{here}.nullable", said))
    return found
