"""Field labels: what `fieldSelector` can ask of each resource. Pure.

Source: pkg/apis/core/v1/conversion.go, pkg/registry/*/strategy.go (ToSelectableFields).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nanokube.api.resources import Resource

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicationcontrollers": ("status.replicas",),
    "jobs.batch": ("status.successful",),
    "certificatesigningrequests.certificates.k8s.io": ("spec.signerName",),
    "resourceslices.resource.k8s.io": ("spec.nodeName", "spec.driver"),
}
# events.k8s.io names the same fields otherwise.
_ALIASES: Final = {"regarding.": "involvedObject.", "reportingController": "reportingComponent"}
_OF_CORE_EVENTS: Final = ("involvedObject.", "reportingComponent", "source")
_DEFAULTS: Final = {"spec.hostNetwork": "false", "spec.unschedulable": "false", "status.replicas": "0"}


def refusal(resource: Resource, label: str) -> str:
    """Say why a selector may not use the label; "" if it may."""
    labels = _FIELDS.get(resource.storage_name)
    if label == "metadata.name" or (label == "metadata.namespace" and (resource.namespaced or not labels)):
        return ""
    if labels is None:
        return f'"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"'
    if resource.group == "events.k8s.io":
        is_known = canonical(label) in labels and not label.startswith(_OF_CORE_EVENTS)
    else:
        is_known = label in labels
    if is_known:
        return ""
    if resource.kind == "Job":
        return f'field label "{label}" not supported for Job'
    about = " for resource.k8s.io/v1, Kind=ResourceSlice" if resource.kind == "ResourceSlice" else ""
    return f"field label not supported{about}: {label}"


def canonical(label: str) -> str:
    """Give the stored version's name of a field label."""
    for alias, name in _ALIASES.items():
        if label.startswith(alias):
            return name + label.removeprefix(alias)
    return label


def read(storage_name: str, obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Read all field labels of an object."""
    metadata = obj["metadata"]
    found = {"metadata.name": metadata["name"], "metadata.namespace": metadata.get("namespace", "")}
    for label in _FIELDS.get(storage_name, ()):
        found[label] = _value(storage_name, label, obj)
    return found


def _value(storage_name: str, label: str, obj: Mapping[str, Any]) -> str:
    if storage_name == "events" and label in ("source", "reportingComponent"):
        component = (obj.get("source") or {}).get("component")
        reporting = obj.get("reportingComponent")
        return str((component or reporting if label == "source" else reporting) or "")
    value: Any = obj
    for part in label.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        return _DEFAULTS.get(label, "")
    if isinstance(value, bool):
        return "true" if value else "false"
    if label == "status.podIPs":
        return ",".join(entry.get("ip", "") for entry in value)
    return str(value)
