"""Defaults of the apps group and its older relatives. Pure.

Source: pkg/apis/{apps,core}/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any, Final

from nanokube.api.defaults import pod, storage

_TEMPLATE_GENERATION: Final = "deprecated.daemonset.template.generation"


def deployment(obj: dict[str, Any]) -> None:
    """Fill in a Deployment."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    pod.fill_template(spec.get("template"))


def replica_set(obj: dict[str, Any]) -> None:
    """Fill in a ReplicaSet."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    pod.fill_template(spec.get("template"))


def controller_revision(obj: dict[str, Any]) -> None:
    """Fill in a ControllerRevision."""
    obj.setdefault("revision", 0)


def daemon_set(obj: dict[str, Any]) -> None:
    """Fill in a DaemonSet; its generation counts as said by whoever writes it."""
    metadata = obj.setdefault("metadata", {})
    metadata["annotations"] = {_TEMPLATE_GENERATION: "0", **(metadata.get("annotations") or {})}
    spec = obj.setdefault("spec", {})
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    pod.fill_template(spec.get("template"))


def stateful_set(obj: dict[str, Any]) -> None:
    """Fill in a StatefulSet."""
    spec = obj.setdefault("spec", {})
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        strategy["rollingUpdate"].setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for key in ("whenDeleted", "whenScaled"):
        if not retention.get(key):
            retention[key] = "Retain"
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    pod.fill_template(spec.get("template"))
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        storage.claim(claim)


def replication_controller(obj: dict[str, Any]) -> None:
    """Fill in a ReplicationController, whose labels and selector may come from its template."""
    spec = obj.setdefault("spec", {})
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not obj.setdefault("metadata", {}).get("labels"):
            obj["metadata"]["labels"] = dict(labels)
    spec.setdefault("replicas", 1)
    pod.fill_template(spec.get("template"))


def pod_template(obj: dict[str, Any]) -> None:
    """Fill in a PodTemplate."""
    pod.fill_template(obj.get("template"))
