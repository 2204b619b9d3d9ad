"""Validation of references to a Pod's own fields and resources, in variables and volumes. Pure.

Source: pkg/apis/core/validation/validation.go, validateObjectFieldSelector,
validateContainerResourceFieldSelector; pkg/apis/core/pods/helpers.go, ConvertDownwardAPIFieldLabel.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from nanokube.api import field, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import names

ENV_FIELDS: Final = frozenset(
    (
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    )
)
VOLUME_FIELDS: Final = frozenset(
    ("metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid")
)
_MAPS: Final = ("metadata.annotations", "metadata.labels")
# what selects Pods, not all of which can be shown to them
_KNOWN: Final = (
    ENV_FIELDS
    | VOLUME_FIELDS
    | frozenset(("spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host"))
)
_RESOURCES: Final = frozenset(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)
_HUGEPAGES: Final = ("requests.hugepages-", "limits.hugepages-")
_BYTES: Final[tuple[str, ...]] = tuple(
    f"1{suffix}" for suffix in ("", *"kMGTPE", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
)
_CPU: Final[tuple[str, ...]] = ("1m", "1")


def field_ref(ref: Object, path: str, allowed: Collection[str]) -> list[FieldError]:
    """Check a reference to one of the allowed fields, or to a label or annotation."""
    version, where = ref.get("apiVersion") or "", ref.get("fieldPath") or ""
    if not version:
        return [field.required(f"{path}.apiVersion")]
    if not where:
        return [field.required(f"{path}.fieldPath")]
    name, key = _subscript(where)
    if problem := _unknown(version, where, name, key):
        return [field.invalid(f"{path}.fieldPath", where, f"error converting fieldPath: {problem}")]
    if key is not None:
        checked = key.lower() if name == "metadata.annotations" else key
        return [field.invalid(path, checked, m) for m in names.qualified_name(checked)]
    where = "spec.nodeName" if where == "spec.host" else where
    return [] if where in allowed else [field.not_supported(f"{path}.fieldPath", where, sorted(allowed))]


def _subscript(where: str) -> tuple[str, str | None]:
    name, opens, key = where.partition("['")
    return (name, key[:-2]) if opens and name and key.endswith("']") else (where, None)


def _unknown(version: str, where: str, name: str, key: str | None) -> str:
    if version != "v1":
        return f"unsupported pod version: {version}"
    if key is not None:
        return "" if name in _MAPS else f"field label does not support subscript: {where}"
    return "" if where in _KNOWN else f"field label not supported: {where}"


def resource_ref(ref: Object, path: str, *, is_volume: bool) -> list[FieldError]:
    """Check a reference to a container's requests or limits; a volume must say which container's."""
    name, found = ref.get("resource") or "", list[FieldError]()
    if is_volume and not ref.get("containerName"):
        found.append(field.required(f"{path}.containerName"))
    elif not name:
        found.append(field.required(f"{path}.resource"))
    elif name not in _RESOURCES and not name.startswith(_HUGEPAGES):
        found.append(field.not_supported(f"{path}.resource", name, sorted(_RESOURCES)))
    return found + _divisor(name, ref.get("divisor") or "0", f"{path}.divisor")


def _divisor(name: str, divisor: str, path: str) -> list[FieldError]:
    if not quantity.parse(divisor).amount:
        return []
    _, _, kind = name.partition(".")
    if name in _RESOURCES and kind == "cpu":
        allowed, detail = _CPU, "1m and 1 are supported with the cpu resource"
    elif name in _RESOURCES or name.startswith(_HUGEPAGES):
        shown = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(kind, "hugepages")
        allowed, detail = _BYTES, f"{', '.join(_BYTES)} are supported with the {shown} resource"
    else:
        return []
    if str(divisor) in allowed:
        return []
    return [field.invalid(path, name, f"only divisor's values {detail}")]
