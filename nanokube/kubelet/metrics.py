"""Counts of the kubelet under upstream's names.

Source: pkg/kubelet/metrics/metrics.go, pkg/kubelet/status/status_manager.go (what counts as an end).
"""

from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import Counter, Gauge

from nanokube.kubelet.containers import security

Object = Mapping[str, Any]

NODE: Final = Gauge("kubelet_node_name", "The node's name. The count is always 1.", ["node"])
RUNNING_PODS: Final = Gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox")
RUNNING_CONTAINERS: Final = Gauge(
    "kubelet_running_containers", "Number of containers currently running", ["container_state"]
)
STARTED_PODS: Final = Counter("kubelet_started_pods", "Cumulative number of pods started")
POD_ERRORS: Final = Counter("kubelet_started_pods_errors", "Cumulative number of errors when starting pods")
STARTED_USER_PODS: Final = Counter(
    "kubelet_started_user_namespaced_pods", "Cumulative number of pods with user namespaces started"
)
USER_POD_ERRORS: Final = Counter(
    "kubelet_started_user_namespaced_pods_errors",
    "Cumulative number of errors when starting pods with user namespaces",
)
STARTED_CONTAINERS: Final = Counter(
    "kubelet_started_containers", "Cumulative number of containers started", ["container_type"]
)
CONTAINER_ERRORS: Final = Counter(
    "kubelet_started_containers_errors",
    "Cumulative number of errors when starting containers",
    ["container_type", "code"],
)
TERMINATED_CONTAINERS: Final = Counter(
    "kubelet_terminated_containers",
    "Cumulative number of container terminations.",
    ["container_type", "exit_code", "reason"],
)

_STATUSES: Final = (
    ("initContainerStatuses", "init_container"),
    ("containerStatuses", "container"),
    ("ephemeralContainerStatuses", "ephemeral_container"),
)


def count_pod(pod: Object) -> None:
    """Count a Pod whose sandbox is being made."""
    STARTED_PODS.inc()
    if security.has_own_users(pod):
        STARTED_USER_PODS.inc()


def count_pod_fault(pod: Object) -> None:
    """Count a sandbox that could not be made."""
    POD_ERRORS.inc()
    if security.has_own_users(pod):
        USER_POD_ERRORS.inc()


def count_container(pod: Object, name: str) -> None:
    """Count a container that is being started."""
    STARTED_CONTAINERS.labels(_sort(pod, name)).inc()


def count_container_fault(pod: Object, name: str, reason: str) -> None:
    """Count a container that was not started. reason: what its waiting state says."""
    CONTAINER_ERRORS.labels(_sort(pod, name), reason).inc()
    if security.has_own_users(pod):
        USER_POD_ERRORS.inc()


def count_ends(old: Object, new: Object) -> None:
    """Count the containers that ended between two statuses of a Pod."""
    for field, sort in _STATUSES:
        ended = {entry["name"] for entry in old.get(field) or () if _end(entry)}
        for entry in new.get(field) or ():
            if (end := _end(entry)) and entry["name"] not in ended:
                code, reason = str(end.get("exitCode", 0)), end.get("reason", "")
                TERMINATED_CONTAINERS.labels(sort, code, reason).inc()


def _end(status: Object) -> Object | None:
    return (status.get("state") or {}).get("terminated")


def _sort(pod: Object, name: str) -> str:
    for field, sort in (("initContainers", "init_container"), ("ephemeralContainers", "ephemeral_container")):
        if any(entry["name"] == name for entry in pod["spec"].get(field) or ()):
            return sort
    return "container"
