"""Volumes and claims: protected while in use, grown only where the class allows.

Source: plugin/pkg/admission/storage/{storageobjectinuseprotection,persistentvolume/resize}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from nanokube.api import errors, quantity
from nanokube.apiserver.admission import chain
from nanokube.apiserver.admission.lookup import Lookup

FINALIZERS: Final = {
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "persistentvolumes": "kubernetes.io/pv-protection",
    "volumeattributesclasses.storage.k8s.io": "kubernetes.io/vac-protection",
}


class StorageProtection(chain.Plugin):
    """StorageObjectInUseProtection: a finalizer that a controller takes away."""

    made_of: ClassVar[Sequence[str]] = ()
    name: ClassVar[str] = "StorageObjectInUseProtection"

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return operation == chain.CREATE and resource in FINALIZERS and not subresource

    async def mutate(self, attributes: chain.Attributes) -> None:
        """Add the finalizer."""
        a = attributes
        wanted = FINALIZERS.get(a.resource.name)
        if wanted is None or a.operation != chain.CREATE or a.subresource or a.obj is None:
            return
        found = a.obj["metadata"].get("finalizers") or []
        if wanted not in found:
            a.obj["metadata"]["finalizers"] = [*found, wanted]


class ClaimResize(chain.Plugin):
    """PersistentVolumeClaimResize."""

    name: ClassVar[str] = "PersistentVolumeClaimResize"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def is_about(self, operation: str, resource: str, subresource: str) -> bool:
        """Tell whether one of the hooks may do something about such requests."""
        return (operation, resource, subresource) == (chain.UPDATE, "persistentvolumeclaims", "")

    async def validate(self, attributes: chain.Attributes) -> None:
        """Refuse to grow what cannot grow."""
        a = attributes
        if a.resource.name != "persistentvolumeclaims" or a.subresource or a.operation != chain.UPDATE:
            return
        if a.obj is None or a.old is None or _size(a.obj) <= _size(a.old):
            return
        if (a.old.get("status") or {}).get("phase") != "Bound":
            raise errors.forbidden(a.resource, a.name, "Only bound persistent volume claims can be expanded")
        name = (a.obj.get("spec") or {}).get("storageClassName") or ""
        found = self._lookup.find("storageclasses.storage.k8s.io", name) if name else None
        if found is None or not found.get("allowVolumeExpansion"):
            cause = "only dynamically provisioned pvc can be resized and the storageclass that provisions "
            raise errors.forbidden(a.resource, a.name, cause + "the pvc must support resize")


def _size(claim: Mapping[str, Any]) -> quantity.Quantity:
    requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}
    return quantity.parse(requests.get("storage", "0"))
