"""The scale subresource: autoscaling/v1 Scale from and to objects with `spec.replicas`. Pure.

Source: pkg/registry/apps/{deployment,replicaset}/storage/storage.go.
"""

from __future__ import annotations

from typing import Any

from nanokube.api import objects, selectors
from nanokube.api.objects import Object


def from_object(obj: Object) -> dict[str, Any]:
    """Build the Scale of an object with a LabelSelector in `spec.selector`."""
    metadata = objects.metadata(obj)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: dict[str, Any] = {"replicas": objects.status(obj).get("replicas", 0)}
    selector = str(selectors.from_object(objects.spec(obj).get("selector")))
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
