"""Validation of Nodes. Pure. Source: pkg/apis/core/validation/validation.go, ValidateNode."""

from __future__ import annotations

from typing import Final

from nanokube.api import field, objects
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import container_resources, formats, metadata, names

_FINALIZERS: Final = ("kubernetes", "orphan", "foregroundDeletion")
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def validate_node(obj: Object) -> list[FieldError]:
    """Check a Node."""
    found: list[FieldError] = []
    seen = set[tuple[str, str]]()
    for index, taint in enumerate(objects.spec(obj).get("taints") or ()):
        path = f"metadata.taints[{index}]"  # upstream's place for them
        key, value, effect = taint.get("key") or "", taint.get("value") or "", taint.get("effect") or ""
        found += (field.invalid(f"{path}.key", key, m) for m in names.qualified_name(key))
        if messages := names.label_value(value):
            found.append(field.invalid(f"{path}.value", value, ";".join(messages)))
        if not effect:
            found.append(field.required(f"{path}.effect"))
        elif effect not in _EFFECTS:
            found.append(field.not_supported(f"{path}.effect", effect, _EFFECTS))
        if (key, effect) in seen:
            error = field.duplicate(path, _shown(taint))
            detail = "taints must be unique by key and effect pair"
            found.append(field.FieldError(error.type, error.path, error.value, detail))
        seen.add((key, effect))
    for key in ("capacity", "allocatable"):
        for name, amount in (objects.status(obj).get(key) or {}).items():
            found += container_resources.amount(name, amount, f"status.{key}.{name}")
    return found + _ranges(objects.spec(obj).get("podCIDRs") or [])


def _shown(taint: Object) -> field.Struct:
    shown = {"Key": taint.get("key", ""), "Value": taint.get("value", ""), "Effect": taint.get("effect", "")}
    return field.Struct({**shown, "TimeAdded": taint.get("timeAdded")})


def _ranges(ranges: list[str]) -> list[FieldError]:
    found, path = list[FieldError](), "spec.podCIDRs"
    for index, text in enumerate(ranges):
        found += formats.each(formats.cidr, text, f"{path}[{index}]")
    families = {network.version for text in ranges if (network := formats.parse_cidr(text))}
    if len(ranges) > 2 or (len(ranges) == 2 and len(families) < 2 and not found):
        detail = "may specify no more than one CIDR for each IP family"
        found.append(field.invalid(path, ranges, detail))
    return found


def validate_namespace(obj: Object) -> list[FieldError]:
    """Check a Namespace."""
    found = list[FieldError]()
    for name in objects.spec(obj).get("finalizers") or ():
        found += _finalizer(name, "spec.finalizers")
    return found


def validate_namespace_finalize(new: Object, old: Object) -> list[FieldError]:
    """Check what the finalizers of a Namespace are to be."""
    found = metadata.validate_update(new, old)
    for index, name in enumerate(objects.spec(new).get("finalizers") or ()):
        found += _finalizer(name, f"spec.finalizers[{index}]")
    return found


def _finalizer(name: str, path: str) -> list[FieldError]:
    found = formats.each(names.qualified_name, name, path)
    if "/" not in name and name not in _FINALIZERS:
        detail = "name is neither a standard finalizer name nor is it fully qualified"
        found.append(field.invalid(path, name, detail))
    return found


def validate_node_update(new: Object, old: Object) -> list[FieldError]:
    """Check that what identifies a node stayed."""
    spec, before, found = objects.spec(new), objects.spec(old), list[FieldError]()
    if before.get("podCIDRs") and spec.get("podCIDRs") != before["podCIDRs"]:
        found.append(
            field.forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
        )
    if before.get("providerID") and spec.get("providerID") != before["providerID"]:
        found.append(
            field.forbidden(
                "spec.providerID", 'node updates may not change providerID except from "" to valid'
            )
        )
    return found
