"""Validation of CSIDrivers, CSINodes, CSIStorageCapacities and VolumeAttachments. Pure.

Source: pkg/apis/storage/validation/validation.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import field, objects, quantity
from nanokube.api.field import FieldError
from nanokube.api.objects import Object
from nanokube.api.validation import formats, metadata, names, storage

_GROUP_POLICIES: Final = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLE_MODES: Final = ("Persistent", "Ephemeral")
_MIN_TOKEN_S: Final = 600
_MAX_TOKEN_S: Final = 1 << 32
_MIN_UPDATE_PERIOD_S: Final = 10
_MAX_NODE_ID: Final = 256
_MAX_METADATA_BYTES: Final = 256 * 1024
_MAX_ERROR_BYTES: Final = 1024
_ONE_SOURCE: Final = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
# key, and the name upstream reports it by
_REQUIRED_FLAGS: Final = (
    ("attachRequired", "attachedRequired"),
    ("podInfoOnMount", "podInfoOnMount"),
    ("storageCapacity", "storageCapacity"),
)


def validate_driver(obj: Object) -> list[FieldError]:
    """Check a CSIDriver."""
    spec = objects.spec(obj)
    found = [field.required(f"spec.{shown}") for key, shown in _REQUIRED_FLAGS if spec.get(key) is None]
    found += formats.optional_choice(spec.get("fsGroupPolicy"), _GROUP_POLICIES, "spec.fsGroupPolicy")
    requests = spec.get("tokenRequests") or []
    found += _tokens(requests, "spec.tokenRequests")
    for mode in spec.get("volumeLifecycleModes") or ():
        if mode not in _LIFECYCLE_MODES:
            found.append(field.not_supported("spec.volumeLifecycleModes", mode, _LIFECYCLE_MODES))
    if spec.get("seLinuxMount") is None:
        found.append(field.required("spec.seLinuxMount"))
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < _MIN_UPDATE_PERIOD_S:
        detail = f"must be greater than or equal to {_MIN_UPDATE_PERIOD_S} seconds"
        found.append(field.invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, detail))
    in_secrets = spec.get("serviceAccountTokenInSecrets")
    if in_secrets is not None and not requests:
        detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        found.append(field.invalid("spec.serviceAccountTokenInSecrets", in_secrets, detail))
    return found


def validate_driver_update(new: Object, old: Object) -> list[FieldError]:
    """Check what of a CSIDriver may not change."""
    spec, before, found = objects.spec(new), objects.spec(old), list[FieldError]()
    for key, shown in (
        ("attachRequired", "attachedRequired"),
        ("volumeLifecycleModes", "volumeLifecycleModes"),
    ):
        found += metadata.immutable(spec.get(key), before.get(key), f"spec.{shown}")
    return found


def _tokens(requests: list[Any], path: str) -> list[FieldError]:
    found, seen = list[FieldError](), set[str]()
    for index, request in enumerate(requests):
        where, audience = f"{path}[{index}]", request.get("audience") or ""
        if audience in seen:
            found.append(field.duplicate(f"{where}.audience", audience))
            continue
        seen.add(audience)
        seconds = request.get("expirationSeconds")
        if seconds is not None and seconds < _MIN_TOKEN_S:
            detail = "may not specify a duration less than 10 minutes"
            found.append(field.invalid(f"{where}.expirationSeconds", seconds, detail))
        if seconds is not None and seconds > _MAX_TOKEN_S:
            detail = "may not specify a duration larger than 2^32 seconds"
            found.append(field.invalid(f"{where}.expirationSeconds", seconds, detail))
    return found


def validate_node(obj: Object) -> list[FieldError]:
    """Check a CSINode."""
    found, seen = list[FieldError](), set[str]()
    for index, driver in enumerate(objects.spec(obj).get("drivers") or ()):
        found += _node_driver(driver, f"spec.drivers[{index}]", seen)
    return found


def _node_driver(driver: Object, path: str, seen: set[str]) -> list[FieldError]:
    name, node_id = driver.get("name") or "", driver.get("nodeID") or ""
    found = formats.csi_driver(name, f"{path}.name")
    if not node_id:
        found.append(field.required(f"{path}.nodeID"))
    elif len(node_id) > _MAX_NODE_ID:
        detail = f"must be {_MAX_NODE_ID} characters or less"
        found.append(field.invalid(f"{path}.nodeID", node_id, detail))
    found += metadata.non_negative(
        (driver.get("allocatable") or {}).get("count"), f"{path}.allocatable.count"
    )
    if name in seen:
        found.append(field.duplicate(f"{path}.name", name))
    seen.add(name)
    keys = driver.get("topologyKeys") or []
    for index, key in enumerate(keys):
        if not key:
            found.append(field.required(path))
        if key in keys[:index]:
            found.append(field.duplicate(path, key))
        found += formats.each(names.qualified_name, key, path)
    return found


def validate_node_update(new: Object, old: Object) -> list[FieldError]:
    """Check that drivers of a CSINode that are still there stayed, but for what they can take."""

    def drivers(obj: Object) -> list[dict[str, Any]]:
        listed = objects.spec(obj).get("drivers") or ()
        return [{k: v for k, v in driver.items() if k != "allocatable"} for driver in listed]

    found: list[FieldError] = []
    for before in drivers(old):
        for driver in drivers(new):
            if driver.get("name") == before.get("name"):
                found += metadata.immutable(driver, before, "spec.drivers")
    return found


def validate_capacity(obj: Object) -> list[FieldError]:
    """Check a CSIStorageCapacity."""
    found = metadata.label_selector(obj.get("nodeTopology"), "nodeTopology")
    found += formats.each(names.dns_subdomain, obj.get("storageClassName") or "", "storageClassName")
    amount = obj.get("capacity")
    if amount is not None and quantity.parse(amount) < quantity.parse("0"):
        found.append(field.invalid("capacity", str(amount), metadata.NEGATIVE))
    return found


def validate_capacity_update(new: Object, old: Object) -> list[FieldError]:
    """Check that a CSIStorageCapacity is still about the same storage."""
    found: list[FieldError] = []
    for key in ("nodeTopology", "storageClassName"):
        found += metadata.immutable(new.get(key), old.get(key), key)
    return found


def validate_attachment(obj: Object) -> list[FieldError]:
    """Check a VolumeAttachment."""
    spec = objects.spec(obj)
    found = formats.csi_driver(spec.get("attacher") or "", "spec.attacher")
    found += _source(spec.get("source") or {}, "spec.source")
    name = (spec.get("source") or {}).get("persistentVolumeName")
    if name is not None:
        found += formats.each(names.dns_subdomain, name, "spec.source.persistentVolumeName")
    return found + formats.each(names.dns_subdomain, spec.get("nodeName") or "", "spec.nodeName")


def _source(source: Object, path: str) -> list[FieldError]:
    name, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    if name is None and inline is None:
        return [field.required(path, _ONE_SOURCE)]
    if name is not None and inline is not None:
        return [field.forbidden(path, _ONE_SOURCE)]
    if inline is not None:
        return storage.inline_volume_spec(inline, f"{path}.inlineVolumeSpec")
    assert name is not None
    where = f"{path}.persistentVolumeName"
    return [] if name else [field.required(where, "must specify non empty persistentVolumeName")]


def validate_attachment_update(new: Object, old: Object) -> list[FieldError]:
    """Check that a VolumeAttachment is of the same volume and node."""
    return metadata.immutable(objects.spec(new), objects.spec(old), "spec")


def validate_attachment_status(new: Object, old: Object) -> list[FieldError]:
    """Check what an attacher reports."""
    status, found = objects.status(new), list[FieldError]()
    kept = status.get("attachmentMetadata") or {}
    if sum(len(k.encode()) + len(v.encode()) for k, v in kept.items()) > _MAX_METADATA_BYTES:
        found.append(field.too_long("status.attachmentMetadata", _MAX_METADATA_BYTES))
    for key in ("attachError", "detachError"):
        error, path = status.get(key) or {}, f"status.{key}"
        if len((error.get("message") or "").encode()) > _MAX_ERROR_BYTES:
            # upstream names the other limit
            found.append(field.too_long(f"{path}.message", _MAX_METADATA_BYTES))
        code = error.get("errorCode")
        if code is not None and code < 0:
            found.append(field.invalid(f"{path}.errorCode", code, names.between(0, (1 << 31) - 1)))
    return found
