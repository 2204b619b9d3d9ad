"""Validation of annotations that mean something in Pods and templates. Pure.

Source: pkg/apis/core/validation/validation.go, ValidatePodSpecificAnnotations,
validateSeccompAnnotationsAndFields, validateAppArmorAnnotationsAndFieldsMatchOnCreate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import containers, volume_sources

_MIRROR: Final = "kubernetes.io/config.mirror"
_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
_SECCOMP: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER: Final = "container.seccomp.security.alpha.kubernetes.io/"
_APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_LOCAL: Final = "localhost/"
# of both kinds, in annotations
_PLAIN: Final = ("", "runtime/default", "unconfined")
_SECCOMP_PLAIN: Final = ("runtime/default", "docker/default", "unconfined")


def validate(annotations: Mapping[str, Any], spec: Object, path: str) -> list[FieldError]:
    """Check annotations by themselves."""
    found: list[FieldError] = []
    if not annotations:
        return found
    if _MIRROR in annotations and not spec.get("nodeName"):
        detail = "must set spec.nodeName if mirror pod annotation is set"
        found.append(field.invalid(f"{path}[{_MIRROR}]", annotations[_MIRROR], detail))
    cost = annotations.get(_COST)
    if cost is not None and not _is_cost(cost):
        found.append(field.invalid(f"{path}[{_COST}]", cost, "must be a 32bit integer"))
    for key, value in annotations.items():
        if key == _SECCOMP or key.startswith(_SECCOMP_CONTAINER):
            found += _seccomp(value, f"{path}.{key}")
    known = {container.get("name") for container, _ in containers.every(spec, "spec")}
    for key, value in annotations.items():
        name = key.removeprefix(_APP_ARMOR)
        if name == key:
            continue
        if name not in known:
            found.append(field.invalid(f"{path}[{key}]", name, "container not found"))
        if value not in _PLAIN and not value.startswith(_LOCAL):
            detail = f"invalid AppArmor profile name: {field.quote(value)}"
            found.append(field.invalid(f"{path}[{key}]", value, detail))
    return found


def _is_cost(text: str) -> bool:
    return re.fullmatch("-?(0|[1-9][0-9]*)", text) is not None and -(1 << 31) <= int(text) < 1 << 31


def _seccomp(value: str, path: str) -> list[FieldError]:
    if value in _SECCOMP_PLAIN:
        return []
    if value.startswith(_LOCAL):
        return volume_sources.descending(value.removeprefix(_LOCAL), path)
    return [field.invalid(path, value, "must be a valid seccomp profile")]


def agree(annotations: Mapping[str, Any], spec: Object, path: str) -> list[FieldError]:
    """Check that AppArmor annotations say the same as the fields that took their place."""
    if not any(key.startswith(_APP_ARMOR) for key in annotations):
        return []
    if (spec.get("os") or {}).get("name") == "windows":
        return []
    found, whole = list[FieldError](), (spec.get("securityContext") or {}).get("appArmorProfile")
    for container, where in containers.every(spec, path):
        profile = (container.get("securityContext") or {}).get("appArmorProfile") or whole
        said = annotations.get(f"{_APP_ARMOR}{container.get('name') or ''}")
        if profile is None or said is None:
            continue
        kind, where = profile.get("type"), f"{where}.securityContext.appArmorProfile"
        meant = {"Unconfined": "unconfined", "RuntimeDefault": "runtime/default"}.get(kind or "")
        if (meant is not None and said != meant) or (kind == "Localhost" and not said.startswith(_LOCAL)):
            detail = "apparmor type in annotation and field must match"
            found.append(field.forbidden(f"{where}.type", detail))
        elif kind == "Localhost" and said.removeprefix(_LOCAL) != profile.get("localhostProfile"):
            detail = "apparmor profile in annotation and field must match"
            found.append(field.forbidden(f"{where}.localhostProfile", detail))
    return found
