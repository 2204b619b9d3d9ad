"""The rules of the fake server: what a write changes beyond what was asked. Pure."""

from collections.abc import Iterable
from typing import Any

from nanokube.api import objects, resources
from nanokube.api.objects import Object

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


def on_create(resource: resources.Resource, new: dict[str, Any]) -> None:
    """Set what the server sets on a new object."""
    if resource.has_generation:
        new["metadata"]["generation"] = 1
    if resource.name == "namespaces":
        new.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        new.setdefault("status", {}).setdefault("phase", "Active")
        labels = new["metadata"].setdefault("labels", {})
        labels["kubernetes.io/metadata.name"] = objects.name(new)
    if resource.name == "pods":
        new.setdefault("spec", {})
        new.setdefault("status", {}).setdefault("phase", "Pending")


def on_update(
    resource: resources.Resource, old: Object, new: dict[str, Any], subresource: str
) -> dict[str, Any]:
    """Keep what this write may not change; count spec changes in the generation."""
    if subresource in ("status", "approval"):
        merged: dict[str, Any] = objects.copy(dict(old))
        if "status" in new:
            merged["status"] = new["status"]
        if resource.name == "deployments.apps" and "annotations" in new["metadata"]:
            merged["metadata"]["annotations"] = new["metadata"]["annotations"]
        return merged
    if subresource == "finalize":
        merged = objects.copy(dict(old))
        merged["spec"] = new.get("spec") or {}
        return merged
    if any(sub.name == "status" for sub in resource.subresources):
        new.pop("status", None)
        if "status" in old:
            new["status"] = objects.copy(old["status"])
    meta, before = new["metadata"], old["metadata"]
    for field in ("uid", "creationTimestamp", "resourceVersion", "deletionTimestamp", "generation"):
        meta.pop(field, None)
        if field in before:
            meta[field] = before[field]
    if "generation" in meta and new.get("spec") != old.get("spec"):
        meta["generation"] += 1
    return new


def on_delete(
    resource: resources.Resource,
    obj: dict[str, Any],
    grace_period_s: int | None,
    propagation: str,
    now: str,
) -> dict[str, Any] | None:
    """Mark an object as deleting, or give None when it may go at once."""
    meta = obj["metadata"]
    if propagation:
        finalizers = [name for name in objects.finalizers(obj) if name not in (FOREGROUND, ORPHAN)]
        added = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(propagation, [])
        meta["finalizers"] = finalizers + added
    if resource.name == "pods":
        asked = (
            grace_period_s
            if grace_period_s is not None
            else obj["spec"].get("terminationGracePeriodSeconds", 30)
        )
        grace_s = asked if obj["spec"].get("nodeName") and not _ended(obj) else 0
        meta["deletionGracePeriodSeconds"] = grace_s
    if resource.name == "namespaces":
        obj.setdefault("status", {})["phase"] = "Terminating"
    if may_go(resource, obj):
        return None
    if not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = now
        if "generation" in meta:
            meta["generation"] += 1
    return obj


def may_go(resource: resources.Resource, obj: Object) -> bool:
    """Tell whether nothing holds a deleting object back."""
    if objects.finalizers(obj):
        return False
    if resource.name == "namespaces":
        return not objects.spec(obj).get("finalizers")
    return not objects.metadata(obj).get("deletionGracePeriodSeconds")


def bound(pod: dict[str, Any], node: str) -> dict[str, Any]:
    """Assign a Pod, as pods/binding does."""
    pod["spec"]["nodeName"] = node
    status = pod.setdefault("status", {})
    others = [c for c in status.get("conditions") or () if c["type"] != "PodScheduled"]
    status["conditions"] = [*others, {"type": "PodScheduled", "status": "True"}]
    return pod


def field(obj: Object, path: str) -> str:
    """Read a field selector's path; "" when absent."""
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def discovery(known: Iterable[resources.Resource], *, core: bool) -> dict[str, Any]:
    """Build the aggregated discovery document of /api or /apis."""
    groups: dict[str, dict[str, Any]] = {}
    for resource in known:
        if bool(resource.group) == core:
            continue
        group = groups.setdefault(resource.group, {"metadata": {"name": resource.group}, "versions": []})
        version = next((v for v in group["versions"] if v["version"] == resource.version), None)
        if version is None:
            version = {"version": resource.version, "resources": []}
            group["versions"].append(version)
        version["resources"].append(
            {
                "resource": resource.plural,
                "responseKind": {"kind": resource.kind},
                "scope": "Namespaced" if resource.namespaced else "Cluster",
                "verbs": list(resource.verbs),
            }
        )
    return {"kind": "APIGroupDiscoveryList", "items": list(groups.values())}


def _ended(pod: Object) -> bool:
    return objects.status(pod).get("phase") in ("Succeeded", "Failed")
