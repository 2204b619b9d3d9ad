"""Columns of volumes and storage. Pure. Source: pkg/printers/internalversion/printers.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api import objects
from nanokube.api.objects import Object
from nanokube.api.table.columns import AGE, NAME, Column, Columns, age, wide

UNSET: Final = "<unset>"
_CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"
_MODES: Final = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _modes(modes: Any) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _phase(obj: Object) -> str:
    return "Terminating" if objects.is_deleting(obj) else objects.status(obj).get("phase") or ""


def _class(obj: Object) -> str:
    return objects.annotations(obj).get(_CLASS_ANNOTATION) or objects.spec(obj).get("storageClassName") or ""


def _volume(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    claim = spec.get("claimRef")
    return [
        objects.name(obj),
        (spec.get("capacity") or {}).get("storage", "0"),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy") or "",
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _class(obj),
        spec.get("volumeAttributesClassName", UNSET),
        objects.status(obj).get("reason") or "",
        age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def _claim(obj: Object, now: float) -> list[Any]:
    spec, status = objects.spec(obj), objects.status(obj)
    is_bound = bool(spec.get("volumeName"))
    return [
        objects.name(obj),
        _phase(obj),
        spec.get("volumeName") or "",
        (status.get("capacity") or {}).get("storage", "0") if is_bound else "",
        _modes(status.get("accessModes")) if is_bound else "",
        _class(obj),
        spec.get("volumeAttributesClassName", UNSET),
        age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def _storage_class(obj: Object, now: float) -> list[Any]:
    is_default = any(
        objects.annotations(obj).get(f"storageclass.{part}kubernetes.io/is-default-class") == "true"
        for part in ("", "beta.")
    )
    return [
        f"{objects.name(obj)} (default)" if is_default else objects.name(obj),
        obj.get("provisioner") or "",
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or "Immediate",
        bool(obj.get("allowVolumeExpansion")),
        age(obj, now),
    ]


def _attributes_class(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), obj.get("driverName") or "", age(obj, now)]


def _attachment(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    return [
        objects.name(obj),
        spec.get("attacher") or "",
        (spec.get("source") or {}).get("persistentVolumeName") or "",
        spec.get("nodeName") or "",
        bool(objects.status(obj).get("attached")),
        age(obj, now),
    ]


def _csi_node(obj: Object, now: float) -> list[Any]:
    return [objects.name(obj), len(objects.spec(obj).get("drivers") or ()), age(obj, now)]


def _csi_driver(obj: Object, now: float) -> list[Any]:
    spec = objects.spec(obj)
    tokens = ",".join(t.get("audience") or "" for t in spec.get("tokenRequests") or ()) or UNSET
    return [
        objects.name(obj),
        spec.get("attachRequired", True),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        tokens,
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>",
        age(obj, now),
    ]


_TAIL: Final = (Column("StorageClass"), Column("VolumeAttributesClass"))

VOLUME: Final = Columns(
    (
        NAME,
        Column("Capacity"),
        Column("Access Modes"),
        Column("Reclaim Policy"),
        Column("Status"),
        Column("Claim"),
        *_TAIL,
        Column("Reason"),
        AGE,
        wide("VolumeMode"),
    ),
    _volume,
)
CLAIM: Final = Columns(
    (
        NAME,
        Column("Status"),
        Column("Volume"),
        Column("Capacity"),
        Column("Access Modes"),
        *_TAIL,
        AGE,
        wide("VolumeMode"),
    ),
    _claim,
)
STORAGE_CLASS: Final = Columns(
    (
        NAME,
        Column("Provisioner"),
        Column("ReclaimPolicy"),
        Column("VolumeBindingMode"),
        Column("AllowVolumeExpansion"),
        AGE,
    ),
    _storage_class,
)
ATTRIBUTES_CLASS: Final = Columns((NAME, Column("DriverName"), AGE), _attributes_class)
ATTACHMENT: Final = Columns(
    (
        NAME,
        Column("Attacher", format="name"),
        Column("PV"),
        Column("Node"),
        Column("Attached", "boolean"),
        AGE,
    ),
    _attachment,
)
CSI_NODE: Final = Columns((NAME, Column("Drivers", "integer"), AGE), _csi_node)
CSI_DRIVER: Final = Columns(
    (
        NAME,
        Column("AttachRequired", "boolean"),
        Column("PodInfoOnMount", "boolean"),
        Column("StorageCapacity", "boolean"),
        Column("TokenRequests"),
        Column("RequiresRepublish", "boolean"),
        Column("Modes"),
        AGE,
    ),
    _csi_driver,
)
