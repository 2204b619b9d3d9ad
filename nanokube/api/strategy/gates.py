"""Fields of Pods whose gates are off by default, which a server without them drops. Pure.

Source: pkg/api/pod/util.go, dropDisabledFields; gates of v1.36: ClusterTrustBundleProjection,
PodCertificateRequest, ContainerStopSignals, GenericWorkload.
"""

from __future__ import annotations

from typing import Any, Final

_PROJECTIONS: Final = ("clusterTrustBundle", "podCertificate")
_TEMPLATES: Final = {
    "pods": ("spec",),
    "podtemplates": ("template", "spec"),
    "replicationcontrollers": ("spec", "template", "spec"),
    "deployments.apps": ("spec", "template", "spec"),
    "replicasets.apps": ("spec", "template", "spec"),
    "daemonsets.apps": ("spec", "template", "spec"),
    "statefulsets.apps": ("spec", "template", "spec"),
    "jobs.batch": ("spec", "template", "spec"),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template", "spec"),
}


def drop(name: str, obj: dict[str, Any]) -> None:
    """Drop them from an object of a resource, in place."""
    at: Any = obj
    for key in _TEMPLATES.get(name, ("",)):
        at = at.get(key)
        if not at:
            return
    at.pop("schedulingGroup", None)
    for volume in at.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            for kind in _PROJECTIONS:
                source.pop(kind, None)
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in at.get(kind) or ():
            lifecycle = container.get("lifecycle")
            if lifecycle is not None and lifecycle.pop("stopSignal", None) and not lifecycle:
                del container["lifecycle"]
