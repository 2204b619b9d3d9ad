"""Validation of containers' environment variables and where they come from. Pure.

Source: pkg/apis/core/validation/validation.go, ValidateEnv, ValidateEnvFrom.
"""

from __future__ import annotations

from typing import Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import downward_api, formats, names, volume_sources

_SOURCES: Final = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ONE_OF: Final = (
    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
)
_FROM: Final = ("configMapRef", "secretRef")
_ONLY_ONE: Final = "may not have more than one field specified at a time"


def validate(container: Object, path: str) -> list[FieldError]:
    """Check a container's variables, one by one and taken from maps."""
    found: list[FieldError] = []
    for index, variable in enumerate(container.get("env") or ()):
        where = f"{path}.env[{index}]"
        found += formats.required_name(variable.get("name"), names.env_name, f"{where}.name")
        if variable.get("valueFrom") is not None:
            found += _source(variable["valueFrom"], f"{where}.valueFrom", bool(variable.get("value")))
    for index, source in enumerate(container.get("envFrom") or ()):
        found += _map(source, f"{path}.envFrom", index)
    return found


def _map(source: Object, path: str, index: int) -> list[FieldError]:
    where, prefix = f"{path}[{index}]", source.get("prefix") or ""
    found = formats.each(names.env_name, prefix, f"{where}.prefix") if prefix else []
    kinds = [kind for kind in _FROM if source.get(kind) is not None]
    for kind in kinds:
        name = source[kind].get("name") or ""
        found += formats.required_name(name, names.dns_subdomain_prefix, f"{where}.{kind}.name")
    if not kinds:  # at the list, as upstream reports it
        found.append(field.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
    elif len(kinds) > 1:
        found.append(field.invalid(path, "", _ONLY_ONE))
    return found


def _source(source: Object, path: str, has_value: bool) -> list[FieldError]:
    kinds, found = [kind for kind in _SOURCES if source.get(kind) is not None], list[FieldError]()
    for kind in kinds:
        ref, where = source[kind], f"{path}.{kind}"
        if kind == "fieldRef":
            found += downward_api.field_ref(ref, where, downward_api.ENV_FIELDS)
        elif kind == "resourceFieldRef":
            found += downward_api.resource_ref(ref, where, is_volume=False)
        elif kind == "fileKeyRef":
            found += _file(ref, where)
        else:
            found += formats.each(names.dns_subdomain, ref.get("name") or "", f"{where}.name")
            found += formats.required_name(ref.get("key"), names.config_key, f"{where}.key")
    if not kinds:
        found.append(field.invalid(path, "", _ONE_OF))
    elif has_value:
        found.append(field.invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(kinds) > 1:
        found.append(field.invalid(path, "", _ONLY_ONE))
    return found


def _file(ref: Object, path: str) -> list[FieldError]:
    found = formats.required_name(ref.get("key"), names.env_name, f"{path}.key")
    found += formats.required_name(ref.get("volumeName"), names.dns_label, f"{path}.volumeName")
    target = ref.get("path") or ""
    if not target:
        return [*found, field.required(f"{path}.path")]
    return found + volume_sources.no_back_steps(target, f"{path}.path")
