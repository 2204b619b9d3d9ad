"""Defaults of volumes, claims and classes. Pure. Source: pkg/apis/{core,storage}/v1/defaults.go."""

from __future__ import annotations

from typing import Any, Final

from nanokube.api.defaults import pod

_CSI_DRIVER: Final = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "requiresRepublish": False,
    "seLinuxMount": False,
}


def claim(obj: dict[str, Any]) -> None:
    """Fill in a PersistentVolumeClaim."""
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    status = obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"


def volume(obj: dict[str, Any]) -> None:
    """Fill in a PersistentVolume."""
    spec, status = obj.setdefault("spec", {}), obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    if spec.get("hostPath") is not None:
        spec["hostPath"].setdefault("type", "")
    pod.fill_network_volume(spec)


def storage_class(obj: dict[str, Any]) -> None:
    """Fill in a StorageClass."""
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def csi_driver(obj: dict[str, Any]) -> None:
    """Fill in a CSIDriver."""
    spec = obj.setdefault("spec", {})
    for key, value in _CSI_DRIVER.items():
        spec.setdefault(key, value)
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]
