"""Labels and annotations by which a kubelet knows its own sandboxes and containers again. Pure.

Source: pkg/kubelet/kuberuntime/labels.go, staging kubelet/pkg/types/labels.go.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"

HASH = "io.kubernetes.container.hash"
RESTART_COUNT = "io.kubernetes.container.restartCount"
TERMINATION_PATH = "io.kubernetes.container.terminationMessagePath"
TERMINATION_POLICY = "io.kubernetes.container.terminationMessagePolicy"
TERMINATION_FILE = "io.nanokube.container.terminationMessageFile"  # ours: the host's file
GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod"
DELETION_GRACE_PERIOD = "io.kubernetes.pod.deletionGracePeriod"
PORTS = "io.kubernetes.container.ports"
PRE_STOP = "io.kubernetes.container.preStopHandler"
ROUND = "io.nanokube.container.round"  # ours: when all containers were last to start again, as its start knew
RESOURCES = "io.nanokube.container.resources"  # ours: what it was made with, which a resize compares


def pod_labels(pod: Mapping[str, Any]) -> dict[str, str]:
    """Label a sandbox: the Pod's own labels and its identity, which wins."""
    return {**(pod["metadata"].get("labels") or {}), **identity(pod)}


def identity(pod: Mapping[str, Any]) -> dict[str, str]:
    """Name a Pod in labels."""
    meta = pod["metadata"]
    return {POD_NAME: meta["name"], POD_NAMESPACE: meta["namespace"], POD_UID: meta["uid"]}


def container_labels(pod: Mapping[str, Any], name: str) -> dict[str, str]:
    """Label a container."""
    return {**identity(pod), CONTAINER_NAME: name}


def container_annotations(
    pod: Mapping[str, Any], container: Mapping[str, Any], restart_count: int, termination_file: str
) -> dict[str, str]:
    """Annotate a container with what is needed to stop and restart it after the Pod object is gone."""
    found = {
        HASH: container_hash(container),
        RESTART_COUNT: str(restart_count),
        TERMINATION_PATH: container.get("terminationMessagePath") or "/dev/termination-log",
        TERMINATION_POLICY: container.get("terminationMessagePolicy") or "File",
        TERMINATION_FILE: termination_file,
    }
    meta, spec = pod["metadata"], pod["spec"]
    if meta.get("deletionGracePeriodSeconds") is not None:
        found[DELETION_GRACE_PERIOD] = str(meta["deletionGracePeriodSeconds"])
    if spec.get("terminationGracePeriodSeconds") is not None:
        found[GRACE_PERIOD] = str(spec["terminationGracePeriodSeconds"])
    found[RESOURCES] = json.dumps(container.get("resources") or {})
    if container.get("ports"):
        found[PORTS] = json.dumps(container["ports"])
    if (container.get("lifecycle") or {}).get("preStop"):
        found[PRE_STOP] = json.dumps(container["lifecycle"]["preStop"])
    return found


def container_hash(container: Mapping[str, Any]) -> str:
    """Digest the fields whose change restarts a container: name and image (pickFieldsToHash upstream)."""
    picked = json.dumps({"name": container["name"], "image": container.get("image", "")})
    return hashlib.sha256(picked.encode()).hexdigest()[:8]


def made_with(annotations: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Read the resources a container was made with; None when another kubelet made it."""
    try:
        return dict(json.loads(annotations[RESOURCES]))
    except (KeyError, ValueError, TypeError):
        return None


def restart_count(annotations: Mapping[str, str]) -> int:
    """Read the restart count of an attempt; 0 when it carries none."""
    try:
        return int(annotations.get(RESTART_COUNT, "0"))
    except ValueError:
        return 0
