"""Validation of files that volumes are filled with: items, the downward API, projected volumes. Pure.

Source: pkg/apis/core/validation/validation.go, validateProjectionSources. Sources whose gates are off
(cluster trust bundles, pod certificates) are dropped before.
"""

from __future__ import annotations

from typing import Final

from nanokube.api import field
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import downward_api
from nanokube.api.validation import volume_sources as sources

_SOURCES: Final = ("secret", "configMap", "downwardAPI", "serviceAccountToken")
_MIN_TOKEN_S: Final = 600
_MAX_TOKEN_S: Final = 1 << 32


def items(body: Object, path: str) -> list[FieldError]:
    """Check which keys become which files."""
    return [
        error
        for index, item in enumerate(body.get("items") or ())
        for error in _item(item, f"{path}.items[{index}]")
    ]


def _item(item: Object, path: str) -> list[FieldError]:
    found = sources.needs("key", "path")(item, path)
    return (
        found
        + sources.relative_path(item.get("path") or "", f"{path}.path")
        + sources.mode(item, path, "mode")
    )


def downward(body: Object, path: str) -> list[FieldError]:
    """Check a downward API volume, whose files upstream reports at the volume."""
    found = sources.mode(body, path)
    return found + [error for file in body.get("items") or () for error in _file(file, path)]


def _file(file: Object, path: str) -> list[FieldError]:
    target, own, resource = file.get("path") or "", file.get("fieldRef"), file.get("resourceFieldRef")
    found = [] if target else [field.required(f"{path}.path")]
    found += sources.relative_path(target, f"{path}.path")
    if own is not None:
        found += downward_api.field_ref(own, f"{path}.fieldRef", downward_api.VOLUME_FIELDS)
        if resource is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            found.append(field.invalid(path, "resource", detail))
    elif resource is not None:
        found += downward_api.resource_ref(resource, f"{path}.resourceFieldRef", is_volume=True)
    else:
        found.append(field.required(path, "one of fieldRef and resourceFieldRef is required"))
    return found + sources.mode(file, path, "mode")


def projected(body: Object, path: str) -> list[FieldError]:
    """Check a volume made of several sources."""
    found, taken = sources.mode(body, path), set[str]()
    for index, source in enumerate(body.get("sources") or ()):
        where = f"{path}.sources[{index}]"
        for kind in ("secret", "configMap"):
            part = source.get(kind)
            if part is not None:
                found += sources.needs("name")(part, f"{where}.{kind}")
                for number, item in enumerate(part.get("items") or ()):
                    found += _item(item, f"{where}.{kind}.items[{number}]")
                    found += _once(item.get("path") or "", taken, path, part.get("name") or "")
        for file in (source.get("downwardAPI") or {}).get("items") or ():
            found += _file(file, f"{where}.downwardAPI")
            found += _once(file.get("path") or "", taken, path, file.get("path") or "")
        if source.get("serviceAccountToken") is not None:
            found += _token(source["serviceAccountToken"], f"{where}.serviceAccountToken", path)
        if sum(source.get(kind) is not None for kind in _SOURCES) > 1:
            detail = f"{sources.ONE_TYPE} per source"
            found.append(field.forbidden(where, detail))
    return found


def _once(target: str, taken: set[str], path: str, shown: str) -> list[FieldError]:
    if target and target in taken:
        return [field.invalid(path, shown, "conflicting duplicate paths")]
    taken.add(target)
    return []


def _token(token: Object, path: str, volume: str) -> list[FieldError]:
    found, seconds = list[FieldError](), token.get("expirationSeconds") or 0
    where = f"{path}.expirationSeconds"
    if seconds < _MIN_TOKEN_S:
        found.append(field.invalid(where, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > _MAX_TOKEN_S:
        found.append(field.invalid(where, seconds, "may not specify a duration larger than 2^32 seconds"))
    if not token.get("path"):
        return [*found, field.required(f"{volume}.path")]
    return found + sources.relative_path(token["path"], f"{volume}.path")
