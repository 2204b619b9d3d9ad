"""Validation of StorageClasses and VolumeAttributesClasses. Pure.

Source: pkg/apis/storage/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names

_RECLAIM: Final = ("Delete", "Retain")
_BINDING_MODES: Final = ("Immediate", "WaitForFirstConsumer")
_MAX_PARAMETERS: Final = 512
_MAX_PARAMETERS_BYTES: Final = 256 * 1024


def validate_storage_class(obj: Object) -> list[FieldError]:
    """Check a StorageClass."""
    found = _provisioner(obj.get("provisioner"), "provisioner")
    found += _parameters(obj.get("parameters") or {}, "parameters")
    found += (
        formats.choice(obj["reclaimPolicy"], _RECLAIM, "reclaimPolicy") if obj.get("reclaimPolicy") else []
    )
    mode = obj.get("volumeBindingMode")
    if mode is None:
        found.append(field.required("volumeBindingMode"))
    else:
        found += formats.choice(mode, _BINDING_MODES, "volumeBindingMode")
    return found + _topologies(obj.get("allowedTopologies") or (), "allowedTopologies")


def validate_storage_class_update(new: Object, old: Object) -> list[FieldError]:
    """Check what of a StorageClass may not change."""
    found: list[FieldError] = []
    for key in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        none = "" if key == "provisioner" else None
        found += metadata.immutable(new.get(key) or none, old.get(key) or none, key)
    return found


def validate_attributes_class(obj: Object) -> list[FieldError]:
    """Check a VolumeAttributesClass."""
    found = _provisioner(obj.get("driverName"), "driverName")
    parameters = obj.get("parameters") or {}
    found += _parameters(parameters, "parameters")
    if not parameters:
        found.append(field.required("parameters", "must contain at least one key/value pair"))
    return found


def validate_attributes_class_update(new: Object, old: Object) -> list[FieldError]:
    """Check that a VolumeAttributesClass stayed."""
    return [
        field.forbidden(key, f"updates to {key} are forbidden.")
        for key in ("driverName", "parameters")
        if (new.get(key) or None) != (old.get(key) or None)
    ]


def _provisioner(name: str | None, path: str) -> list[FieldError]:
    return formats.required_name(name.lower() if name else name, names.qualified_name, path)


def _parameters(parameters: Mapping[str, str], path: str) -> list[FieldError]:
    if len(parameters) > _MAX_PARAMETERS:
        return [field.too_long(path, _MAX_PARAMETERS)]
    found = [field.invalid(path, "", "field can not be empty.")] if "" in parameters else []
    if sum(len(k.encode()) + len(v.encode()) for k, v in parameters.items()) > _MAX_PARAMETERS_BYTES:
        found.append(field.too_long(path, _MAX_PARAMETERS_BYTES))
    return found


def _topologies(terms: Any, path: str) -> list[FieldError]:
    found, seen = list[FieldError](), [dict[str, set[str]]() for _ in terms]  # so does upstream begin
    for index, term in enumerate(terms):
        where, wanted = f"{path}[{index}].matchLabelExpressions", dict[str, set[str]]()
        for number, expression in enumerate(term.get("matchLabelExpressions") or ()):
            found += _expression(expression, wanted, f"{where}[{number}]")
        found += [field.duplicate(where, "") for other in seen if other == wanted]
        seen.append(wanted)
    return found


def _expression(expression: Object, wanted: dict[str, set[str]], path: str) -> list[FieldError]:
    key, values = expression.get("key") or "", expression.get("values") or []
    found = [] if values else [field.required(f"{path}.values")]
    for index, value in enumerate(values):
        if value in values[:index]:
            found.append(field.duplicate(f"{path}.values[{index}]", value))
    found += formats.each(names.qualified_name, key, f"{path}.key")
    if key in wanted:
        found.append(field.duplicate(f"{path}.key", key))
    wanted[key] = set(values)
    return found
