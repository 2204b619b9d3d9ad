"""Validation of what containers mount, and of raw devices they are given. Pure.

Source: pkg/apis/core/validation/validation.go, ValidateVolumeMounts, ValidateVolumeDevices. Paths without an
index are as upstream reports them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, volume_sources

_PROPAGATIONS: Final = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE: Final = ("Disabled", "Enabled", "IfPossible")
_CLAIMS: Final = ("persistentVolumeClaim", "ephemeral")


def validate(container: Object, path: str, volumes: Mapping[str, Object]) -> list[FieldError]:
    """Check the mounts and devices of a container. volumes: the Pod's, by name."""
    return _mounts(container, f"{path}.volumeMounts", volumes) + _devices(
        container, f"{path}.volumeDevices", volumes
    )


def _mounts(container: Object, path: str, volumes: Mapping[str, Object]) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    devices = {d.get("name") or "": d.get("devicePath") or "" for d in container.get("volumeDevices") or ()}
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where, name, target = f"{path}[{index}]", mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            found.append(field.required(f"{where}.name"))
        if name not in volumes:
            found.append(field.not_found(f"{where}.name", name))
        if not target:
            found.append(field.required(f"{where}.mountPath"))
        if target in seen:
            found.append(field.invalid(f"{where}.mountPath", target, "must be unique"))
        seen.add(target)
        if name in devices:
            found.append(field.invalid(f"{where}.name", name, "must not already exist in volumeDevices"))
        if target in devices.values():
            detail = "must not already exist as a path in volumeDevices"
            found.append(field.invalid(f"{where}.mountPath", target, detail))
        found += _sub_paths(mount, path, where)
        found += _propagation(mount, f"{path}.mountPropagation", container)
        found += _recursive(mount, f"{path}.recursiveReadOnly")
    return found


def _sub_paths(mount: Object, path: str, where: str) -> list[FieldError]:
    plain, expression = mount.get("subPath") or "", mount.get("subPathExpr") or ""
    found = volume_sources.descending(plain, f"{path}.subPath") if plain else []
    if expression and plain:
        detail = "subPathExpr and subPath are mutually exclusive"
        found.append(field.invalid(f"{where}.subPathExpr", expression, detail))
    return found + (volume_sources.descending(expression, f"{path}.subPathExpr") if expression else [])


def _propagation(mount: Object, path: str, container: Object) -> list[FieldError]:
    propagation = mount.get("mountPropagation")
    found = formats.optional_choice(propagation, _PROPAGATIONS, path)
    is_privileged = (container.get("securityContext") or {}).get("privileged")
    if propagation == "Bidirectional" and not is_privileged:
        detail = "Bidirectional mount propagation is available only to privileged containers"
        found.append(field.forbidden(path, detail))
    return found


def _recursive(mount: Object, path: str) -> list[FieldError]:
    wanted, found = mount.get("recursiveReadOnly"), list[FieldError]()
    if wanted not in ("Enabled", "IfPossible"):
        return formats.optional_choice(wanted, _RECURSIVE, path)
    if not mount.get("readOnly"):
        found.append(field.forbidden(path, "may only be specified when readOnly is true"))
    if mount.get("mountPropagation") not in (None, "None"):
        detail = "may only be specified when mountPropagation is None or not specified"
        found.append(field.forbidden(path, detail))
    return found


def _devices(container: Object, path: str, volumes: Mapping[str, Object]) -> list[FieldError]:
    found, seen, targets = list[FieldError](), set[str](), set[str]()
    mounted = {m.get("name") or "": m.get("mountPath") or "" for m in container.get("volumeMounts") or ()}
    for index, device in enumerate(container.get("volumeDevices") or ()):
        where, name, target = f"{path}[{index}]", device.get("name") or "", device.get("devicePath") or ""
        volume = volumes.get(name)
        if not name:
            found.append(field.required(f"{where}.name"))
        if name in seen:
            found.append(field.invalid(f"{where}.name", name, "must be unique"))
        if volume is None:
            found.append(field.not_found(f"{where}.name", name))
        elif all(volume.get(kind) is None for kind in _CLAIMS):
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            found.append(field.invalid(f"{where}.name", name, detail))
        found += _target(target, f"{where}.devicePath", targets)
        if name in mounted:
            found.append(field.invalid(f"{where}.name", name, "must not already exist in volumeMounts"))
        if target in mounted.values():
            detail = "must not already exist as a path in volumeMounts"
            found.append(field.invalid(f"{where}.devicePath", target, detail))
        if name:
            seen.add(name)
    return found


def _target(target: str, path: str, taken: set[str]) -> list[FieldError]:
    found = [] if target else [field.required(path)]
    if target in taken:
        found.append(field.invalid(path, target, "must be unique"))
    if ".." in target.split("/"):
        found.append(field.invalid(path, target, "can not contain backsteps ('..')"))
    else:
        taken.add(target)
    return found
