"""The scale subresource: autoscaling/v1 Scale from and to objects with `spec.replicas`. Pure.

Source: pkg/registry/apps/{deployment,replicaset}/storage/storage.go; apimachinery
pkg/util/managedfields/scalehandler.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nanokube.api import objects, selectors
from nanokube.api.objects import Object
from nanokube.api.patch import entries, fieldsets
from nanokube.api.patch.entries import Entry
from nanokube.api.patch.fieldsets import FieldSet

API_VERSION: Final = "autoscaling/v1"
REPLICAS: Final = ("spec", "replicas")


def from_object(obj: Object) -> dict[str, Any]:
    """Build the Scale of an object. `spec.selector`: a LabelSelector; labels, of a ReplicationController."""
    metadata = objects.metadata(obj)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: dict[str, Any] = {"replicas": objects.status(obj).get("replicas", 0)}
    chosen = objects.spec(obj).get("selector")
    if obj.get("kind") == "ReplicationController":
        chosen = {"matchLabels": chosen or {}}
    selector = str(selectors.from_object(chosen))
    if selector:
        status["selector"] = selector
    replicas = objects.spec(obj).get("replicas", 0)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {k: metadata[k] for k in kept if k in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def apply(obj: Object, scale: Object) -> dict[str, Any]:
    """Return a copy of the object with the Scale's replicas (and resourceVersion, if the Scale has one)."""
    found: dict[str, Any] = objects.copy(dict(obj))
    found.setdefault("spec", {})["replicas"] = int(objects.spec(scale).get("replicas") or 0)
    version = objects.resource_version(scale)
    if version:
        found["metadata"]["resourceVersion"] = version
    return found


def managers(parent: Sequence[Entry], api_version: str, path: Sequence[str] = REPLICAS) -> list[Entry]:
    """Show who manages the replicas of an object as who manages its Scale's."""
    return [
        {**each, "apiVersion": API_VERSION, "fieldsV1": _fields(REPLICAS)}
        for each in parent
        if each.get("apiVersion") == api_version
        and fieldsets.contains(each.get("fieldsV1") or {}, _elements(path))
    ]


def managers_of_parent(
    parent: Sequence[Entry], scaled: Sequence[Entry], api_version: str, path: Sequence[str] = REPLICAS
) -> list[Entry]:
    """Take over into the entries of an object who manages the replicas of its Scale now."""
    left = {
        _identity(e): e for e in scaled if fieldsets.contains(e.get("fieldsV1") or {}, _elements(REPLICAS))
    }
    found = []
    for each in parent:
        fields = each.get("fieldsV1") or {}
        is_owner = each.get("apiVersion") == api_version and fieldsets.contains(fields, _elements(path))
        if is_owner and left.pop(_identity(each), None) is None:
            fields = fieldsets.subtract(fields, _fields(path))
        if fields:
            found.append({**each, "fieldsV1": fields})
    found += [{**e, "apiVersion": api_version, "fieldsV1": _fields(path)} for e in left.values()]
    return entries.in_order(found)


def _identity(entry: Entry) -> tuple[Any, ...]:
    return entry.get("manager"), entry.get("operation"), entry.get("subresource", "")


def _elements(path: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"f:{key}" for key in path)


def _fields(path: Sequence[str]) -> FieldSet:
    found: FieldSet = {}
    for key in reversed(path):
        found = {f"f:{key}": found}
    return found
