"""Rows of storage."""

from __future__ import annotations

from typing import Final

from nanokube.api.resource import GroupVersion, Resource

_V1: Final = GroupVersion("storage.k8s.io", "v1")

ROWS: Final[tuple[Resource, ...]] = (
    _V1.kind("CSIDriver", "csidrivers", is_global=True),
    _V1.kind("CSINode", "csinodes", is_global=True),
    _V1.kind("CSIStorageCapacity", "csistoragecapacities"),
    _V1.kind("StorageClass", "storageclasses", "sc", is_global=True),
    _V1.kind("VolumeAttachment", "volumeattachments", is_global=True, has_status=True),
    _V1.kind("VolumeAttributesClass", "volumeattributesclasses", "vac", is_global=True),
)
