"""A Pod's whole status. Pure.

Source: pkg/kubelet/kubelet_pods.go generateAPIPodStatus, pkg/kubelet/status/status_manager.go TerminatePod.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.api import timestamps
from nanokube.kubelet.containers import resources
from nanokube.kubelet.pod_worker import restart
from nanokube.kubelet.pod_worker.plan import sandbox_changed
from nanokube.kubelet.status import conditions
from nanokube.kubelet.status.containers import Observed, statuses
from nanokube.kubelet.status.phase import phase

Object = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """A phase that the kubelet itself decided: admission refused, a deadline passed, the node evicted.

    is_disruption: it is not the Pod's own doing, and a condition says so.
    """

    phase: str
    reason: str
    message: str
    is_disruption: bool = False


def generate(
    pod: Object,
    seen: Observed,
    *,
    host_ips: Sequence[str],
    start_time: float,
    now: float,
    verdict: Verdict | None = None,
    is_terminal: bool = False,
) -> dict[str, Any]:
    """Build a status. is_terminal: every container has stopped and none will start again."""
    old = pod.get("status") or {}
    init = statuses(pod, "initContainers", seen)
    containers = statuses(pod, "containers", seen)
    ephemeral = statuses(pod, "ephemeralContainers", seen)
    restarting = restart.restarting(pod, seen.view)
    new_phase = phase(pod, init, containers, restarting=restarting, is_terminal=is_terminal)
    if old.get("phase") in ("Succeeded", "Failed"):
        new_phase = old["phase"]  # a terminal phase is final
    if verdict is not None:
        new_phase = verdict.phase if is_terminal or not seen.view.running else new_phase
    if is_terminal and new_phase not in ("Succeeded", "Failed"):
        new_phase = "Failed"
        init, containers = [_lost(s, pod) for s in init], [_lost(s, pod) for s in containers]
    changed, _, _ = sandbox_changed(pod, seen.view)
    built: dict[str, Any] = {
        "phase": new_phase,
        "conditions": [
            *conditions.generate(pod, new_phase, init, containers, has_sandbox=not changed, now=now),
            *conditions.restarting(pod, new_phase, seen.view, now),
            *(() if is_terminal else seen.resize),
            *([conditions.disrupted(pod, verdict.message, now)] if verdict and verdict.is_disruption else ()),
        ],
        "hostIP": host_ips[0],
        "hostIPs": [{"ip": each} for each in host_ips],
        "startTime": old.get("startTime") or timestamps.format_time(start_time),
        "qosClass": old.get("qosClass") or resources.qos_class(pod),
        "containerStatuses": containers,
        **_addresses(pod, old, seen.view.ips, host_ips),
    }
    if init:
        built["initContainerStatuses"] = init
    if ephemeral:
        built["ephemeralContainerStatuses"] = ephemeral
    if generation := pod["metadata"].get("generation"):
        built["observedGeneration"] = generation
    if verdict is not None:
        built |= {"reason": verdict.reason, "message": verdict.message}
    else:
        built |= {key: old[key] for key in ("reason", "message") if old.get(key)}
    return built


def _addresses(pod: Object, old: Object, ips: Sequence[str], host_ips: Sequence[str]) -> dict[str, Any]:
    """Give the Pod's addresses; the last known ones while its sandbox is being taken down."""
    if pod["spec"].get("hostNetwork"):
        ips = host_ips
    if not ips:
        return {key: old[key] for key in ("podIP", "podIPs") if old.get(key)}
    return {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}


def _lost(status: dict[str, Any], pod: Object) -> dict[str, Any]:
    """Close a status that was left open when the Pod was torn down."""
    if "terminated" in status["state"]:
        return status
    lost = {
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
        "exitCode": 137,
    }
    return {**status, "state": {"terminated": lost}, "ready": False, "started": False}


def rejected(pod: Object, verdict: Verdict, now: float) -> dict[str, Any]:
    """Build the status of a Pod that admission refused: nothing of it ever ran."""
    old = pod.get("status") or {}
    built: dict[str, Any] = {
        "phase": "Failed",
        "reason": verdict.reason,
        "message": verdict.message,
        "startTime": old.get("startTime") or timestamps.format_time(now),
        "qosClass": old.get("qosClass") or resources.qos_class(pod),
    }
    if generation := pod["metadata"].get("generation"):
        built["observedGeneration"] = generation
    return built
