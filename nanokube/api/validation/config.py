"""Validation of ConfigMaps and Secrets. Pure. Source: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

import base64
import json
from typing import Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import names

_MAX_BYTES: Final = 1 << 20
# type -> keys that must be there
_REQUIRED_KEYS: Final = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_FROZEN: Final = "field is immutable when `immutable` is set"


def validate_config_map(obj: Object) -> list[FieldError]:
    """Check a ConfigMap."""
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    found = [field.invalid(f"data[{k}]", k, m) for k in data for m in names.config_key(k)]
    for key in data.keys() & binary.keys():
        found.append(field.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    found += (field.invalid(f"binaryData[{k}]", k, m) for k in binary for m in names.config_key(k))
    size = sum(len(v.encode()) for v in data.values()) + sum(_decoded_size(v) for v in binary.values())
    if size > _MAX_BYTES:
        found.append(field.too_long("[]", _MAX_BYTES))
    return found


def validate_config_map_update(new: Object, old: Object) -> list[FieldError]:
    """Check that an immutable ConfigMap stayed as it was."""
    return _frozen(new, old, ("data", "binaryData"))


def validate_secret(obj: Object) -> list[FieldError]:
    """Check a Secret."""
    data, kind = obj.get("data") or {}, obj.get("type")
    found = [field.invalid(f"data[{k}]", k, m) for k in data for m in names.config_key(k)]
    if sum(_decoded_size(v) for v in data.values()) > _MAX_BYTES:
        found.append(field.too_long("data", _MAX_BYTES))
    for key in _REQUIRED_KEYS.get(kind or "", ()):
        if key not in data:
            found.append(field.required(f"data[{key}]"))
        elif kind in ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"):
            found += _json(data[key], f"data[{key}]")
    if kind == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        found += (field.required(f"data[{k}]") for k in ("username", "password"))
    account = "kubernetes.io/service-account.name"
    if kind == "kubernetes.io/service-account-token" and not objects.annotations(obj).get(account):
        found.append(field.required(f"metadata.annotations[{account}]"))
    return found


def validate_secret_update(new: Object, old: Object) -> list[FieldError]:
    """Check that the type stayed, and an immutable Secret as it was."""
    found = _frozen(new, old, ("data",))
    if new.get("type") != old.get("type"):
        found.append(field.invalid("type", new.get("type"), "field is immutable"))
    return found


def _frozen(new: Object, old: Object, fields: tuple[str, ...]) -> list[FieldError]:
    if not old.get("immutable"):
        return []
    found = [] if new.get("immutable") else [field.forbidden("immutable", _FROZEN)]
    for key in fields:
        if (new.get(key) or {}) != (old.get(key) or {}):
            found.append(field.forbidden(key, _FROZEN))
    return found


def _decoded_size(text: str) -> int:
    return len(text) * 3 // 4 - text[-2:].count("=")


def _json(text: str, path: str) -> list[FieldError]:
    try:
        json.loads(base64.b64decode(text))
    except ValueError as error:
        return [field.invalid(path, "<secret contents redacted>", str(error))]
    return []
