"""Validation of volumes. Pure. Source: pkg/apis/core/validation/validation.go, ValidateVolumes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from nanokube.api import field, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import names

_MAX_MODE: Final = 0o777
_MODE: Final = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_PATH_TYPES: Final = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_PROJECTIONS: Final = (
    "secret",
    "downwardAPI",
    "configMap",
    "serviceAccountToken",
    "clusterTrustBundle",
    "podCertificate",
)
_MIN_TOKEN_S: Final = 600


def validate(volumes: Iterable[Object], path: str) -> list[FieldError]:
    """Check the volumes of a pod spec."""
    found, seen = list[FieldError](), set[str]()
    for index, volume in enumerate(volumes):
        where, name = f"{path}[{index}]", volume.get("name") or ""
        own = _source(volume, where)
        if name:
            own += [field.invalid(f"{where}.name", name, m) for m in names.dns_label(name)]
        else:
            own.append(field.required(f"{where}.name"))
        if name in seen:
            own.append(field.duplicate(f"{where}.name", name))
        if not own:
            seen.add(name)
        found += own
    return found


def _source(volume: Object, path: str) -> list[FieldError]:
    kinds = [k for k, v in volume.items() if k != "name" and v is not None]
    if not kinds:
        return [field.required(path, "must specify a volume type")]
    found = [field.forbidden(f"{path}.{k}", "may not specify more than 1 volume type") for k in kinds[1:]]
    kind, body, where = kinds[0], volume[kinds[0]], f"{path}.{kinds[0]}"
    match kind:
        case "emptyDir":
            limit = body.get("sizeLimit")
            if limit is not None and quantity.parse(limit).amount < 0:
                found.append(
                    field.forbidden(f"{where}.sizeLimit", "SizeLimit field must be a valid resource quantity")
                )
        case "hostPath":
            found += _host_path(body, where)
        case "secret":
            found += _files(body, where, "secretName")
        case "configMap":
            found += _files(body, where, "name")
        case "downwardAPI":
            found += _mode(body, where) + _downward(body, where)
        case "projected":
            found += _projected(body, where)
        case "persistentVolumeClaim":
            if not body.get("claimName"):
                found.append(field.required(f"{where}.claimName"))
        case "nfs":
            found += [field.required(f"{where}.{k}") for k in ("server", "path") if not body.get(k)]
        case "csi":
            found += [] if body.get("driver") else [field.required(f"{where}.driver")]
        case "image":
            found += [] if body.get("reference") else [field.required(f"{where}.reference")]
    return found


def _host_path(body: Object, path: str) -> list[FieldError]:
    found = [] if body.get("path") else [field.required(f"{path}.path")]
    if ".." in (body.get("path") or "").split("/"):
        found.append(field.invalid(f"{path}.path", body["path"], "must not contain '..'"))
    if (body.get("type") or "") not in _HOST_PATH_TYPES:
        found.append(field.not_supported(f"{path}.type", body["type"], _HOST_PATH_TYPES))
    return found


def _files(body: Object, path: str, name: str) -> list[FieldError]:
    found = [] if body.get(name) else [field.required(f"{path}.{name}")]
    return found + _mode(body, path) + _items(body, path)


def _mode(body: Object, path: str) -> list[FieldError]:
    mode = body.get("defaultMode")
    if mode is not None and not 0 <= mode <= _MAX_MODE:
        return [field.invalid(f"{path}.defaultMode", mode, _MODE)]
    return []


def _items(body: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for index, item in enumerate(body.get("items") or ()):
        where = f"{path}.items[{index}]"
        if not item.get("key"):
            found.append(field.required(f"{where}.key"))
        found += _item(item, where)
    return found


def _item(item: Object, path: str) -> list[FieldError]:
    found, target = list[FieldError](), item.get("path") or ""
    if not target:
        found.append(field.required(f"{path}.path"))
    else:
        found += relative_path(target, f"{path}.path")
    mode = item.get("mode")
    if mode is not None and not 0 <= mode <= _MAX_MODE:
        found.append(field.invalid(f"{path}.mode", mode, _MODE))
    return found


def relative_path(target: str, path: str) -> list[FieldError]:
    """Check a path of a file inside a volume."""
    found = []
    if target.startswith("/"):
        found.append(field.invalid(path, target, "must be a relative path"))
    if ".." in target.split("/"):
        found.append(field.invalid(path, target, "must not contain '..'"))
    elif target.startswith(".."):
        found.append(field.invalid(path, target, "must not start with '..'"))
    return found


def _downward(body: Object, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for index, item in enumerate(body.get("items") or ()):
        where = f"{path}.items[{index}]"
        found += _item(item, where)
        has_field, has_resource = item.get("fieldRef") is not None, item.get("resourceFieldRef") is not None
        if has_field and has_resource:
            found.append(
                field.invalid(
                    where, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"
                )
            )
        elif not has_field and not has_resource:
            found.append(field.required(where, "one of fieldRef and resourceFieldRef is required"))
    return found


def _projected(body: Object, path: str) -> list[FieldError]:
    found = _mode(body, path)
    for index, source in enumerate(body.get("sources") or ()):
        where = f"{path}.sources[{index}]"
        kinds: list[Any] = [k for k in _PROJECTIONS if source.get(k) is not None]
        found += [field.forbidden(where, "may not specify more than 1 volume type") for _ in kinds[1:]]
        if not kinds:
            found.append(field.required(where, "must specify a volume type"))
        if "serviceAccountToken" in kinds:
            found += _token(source["serviceAccountToken"], f"{where}.serviceAccountToken")
        for kind in ("secret", "configMap"):
            if kind in kinds:
                found += [] if source[kind].get("name") else [field.required(f"{where}.{kind}.name")]
                found += _items(source[kind], f"{where}.{kind}")
        if "downwardAPI" in kinds:
            found += _downward(source["downwardAPI"], f"{where}.downwardAPI")
    return found


def _token(token: Object, path: str) -> list[FieldError]:
    found = [] if token.get("path") else [field.required(f"{path}.path")]
    seconds = token.get("expirationSeconds")
    if seconds is not None and seconds < _MIN_TOKEN_S:
        detail = "may not specify a duration less than 10 minutes"
        found.append(field.invalid(f"{path}.expirationSeconds", seconds, detail))
    return found
