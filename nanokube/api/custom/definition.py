"""CustomResourceDefinitions themselves: their defaults and what must hold of them. Pure.

The façade of the rules. Source: apiextensions-apiserver/pkg/apis/apiextensions/{v1/defaults.go,validation}.
"""

from __future__ import annotations

from typing import Any

from nanokube.api.field import FieldError
from nanokube.api.objects import Object


def apply_defaults(crd: dict[str, Any]) -> None:
    """Fill in names, conversion and the first stored version, in place."""
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind") or ""
    if not names.get("singular"):
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None:
        service.setdefault("port", 443)
    status = crd.setdefault("status", {})
    if not status.get("storedVersions"):
        stored = next((v["name"] for v in spec.get("versions") or () if v.get("storage")), None)
        if stored is not None:
            status["storedVersions"] = [stored]


def validate_create(crd: Object) -> list[FieldError]:
    """Return what is wrong with a new definition, apart from its metadata."""
    return []


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Return what is wrong with a definition that is to replace another."""
    return []


def validate_status(new: Object, old: Object) -> list[FieldError]:
    """Return what is wrong with a definition whose status is to replace that of another."""
    return []
