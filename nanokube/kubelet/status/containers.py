"""Container statuses of a Pod: what the runtime has, and why the rest waits. Pure.

Source: pkg/kubelet/kubelet_pods.go convertToAPIContainerStatuses, pkg/kubelet/prober/prober_manager.go.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.api import timestamps
from nanokube.kubelet.containers import resources
from nanokube.kubelet.pod_worker import restart
from nanokube.kubelet.pod_worker.plan import is_sidecar, should_restart
from nanokube.kubelet.podview import ContainerView, PodView, State
from nanokube.kubelet.probes.results import Kind, Results, Verdict

Object = Mapping[str, Any]

RUNTIME_NAME = "nanokube"
LOST = "The container could not be located when the pod was deleted.  The container used to be Running"
_MIN_QUOTA_MILLI = 10  # below, the kernel's smallest quota makes limits indistinguishable


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """Why a container waits: what the worker last tried and how it failed."""

    reason: str
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Observed:
    """All that statuses are made of.

    starting: ids of containers whose postStart hook still runs. resize: conditions about a resize.
    """

    view: PodView
    results: Results
    reasons: Mapping[str, Reason] = dataclasses.field(default_factory=dict)
    starting: frozenset[str] = frozenset()
    resize: tuple[Object, ...] = ()
    runtime_name: str = RUNTIME_NAME


def statuses(pod: Object, field: str, seen: Observed) -> list[dict[str, Any]]:
    """Build the statuses of spec.<field>: containers, initContainers or ephemeralContainers."""
    containers: Sequence[Object] = pod["spec"].get(field) or ()
    status_field = {"containers": "containerStatuses"}.get(field, f"{field[:-1]}Statuses")
    old = {s["name"]: s for s in (pod.get("status") or {}).get(status_field) or ()}
    return [_status(pod, c, field, old.get(c["name"]), seen) for c in containers]


def _status(pod: Object, container: Object, field: str, old: Object | None, seen: Observed) -> dict[str, Any]:
    attempts = seen.view.attempts(container["name"])
    if attempts:
        status = _from_attempt(pod, container, attempts[0], seen)
        if len(attempts) > 1 and attempts[1].state is State.EXITED:
            status["lastState"] = {"terminated": _terminated(attempts[1], seen)}
        elif old and attempts[0].restart_count:
            status["lastState"] = _last(old, status["containerID"])
    else:
        status = _unseen(pod, container, field, old)
    if field != "ephemeralContainers":
        _explain_waiting(pod, container, field, status, attempts[0] if attempts else None, seen)
    _set_ready(container, field, status, attempts[0] if attempts else None, seen)
    return _with_mounts(container, status)


def _last(old: Object, container_id: str) -> Object:
    """Return how the attempt before ended, from what was told: the runtime has it no more."""
    if old.get("containerID") != container_id and (old.get("state") or {}).get("terminated"):
        return {"terminated": old["state"]["terminated"]}  # the attempt since was not told of yet
    last = old.get("lastState") or {}
    return last if last.get("terminated") else {}


def _from_attempt(pod: Object, container: Object, view: ContainerView, seen: Observed) -> dict[str, Any]:
    status: dict[str, Any] = {
        "name": container["name"],
        "image": view.image or container["image"],
        "imageID": view.image_ref,
        "containerID": f"{seen.runtime_name}://{view.id}",
        "restartCount": view.restart_count,
        "lastState": {},
    }
    if view.id in seen.starting or view.state is State.CREATED:
        status["state"] = {"waiting": {"reason": "ContainerCreating"}}
    elif view.state is State.RUNNING:
        status["state"] = {"running": {"startedAt": timestamps.format_time(view.started_at / 1e9)}}
    elif view.state is State.EXITED:
        status["state"] = {"terminated": _terminated(view, seen)}
    else:
        status["state"] = {"waiting": {"reason": "ContainerStatusUnknown"}}
    status["resources"] = _resources(container, view)
    if requests := (container.get("resources") or {}).get("requests"):
        status["allocatedResources"] = dict(requests)
    if view.user is not None:
        uid, gid, groups = view.user
        status["user"] = {"linux": {"uid": uid, "gid": gid, "supplementalGroups": list(groups)}}
    return status


def _terminated(view: ContainerView, seen: Observed) -> dict[str, Any]:
    reason = view.reason or ("Completed" if view.exit_code == 0 else "Error")
    found: dict[str, Any] = {
        "exitCode": view.exit_code,
        "reason": reason,
        "startedAt": timestamps.format_time(view.started_at / 1e9),
        "finishedAt": timestamps.format_time(view.finished_at / 1e9),
        "containerID": f"{seen.runtime_name}://{view.id}",
    }
    if view.message:
        found["message"] = view.message
    return found


def _unseen(pod: Object, container: Object, field: str, old: Object | None) -> dict[str, Any]:
    """Describe a container the runtime has nothing of: not begun, collected, or lost."""
    has_init = bool(pod["spec"].get("initContainers")) and field != "ephemeralContainers"
    waiting = {"waiting": {"reason": "PodInitializing" if has_init else "ContainerCreating"}}
    status: dict[str, Any] = {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "restartCount": 0,
        "state": waiting,
        "lastState": {},
    }
    if old is None:
        return status
    if (old.get("state") or {}).get("terminated"):
        return dict(old)
    status["restartCount"] = old.get("restartCount", 0)
    status["lastState"] = old.get("lastState") or {}
    if (old.get("state") or {}).get("running") and not status["lastState"]:
        status["lastState"] = {
            "terminated": {
                "reason": "ContainerStatusUnknown",
                "message": LOST,
                "exitCode": 137,
            }
        }
        if not pod["metadata"].get("deletionTimestamp"):
            status["restartCount"] += 1
    return status


def _explain_waiting(
    pod: Object,
    container: Object,
    field: str,
    status: dict[str, Any],
    latest: ContainerView | None,
    seen: Observed,
) -> None:
    """Say what the worker waits for, where it means to start the container (again)."""
    if field == "initContainers" and not is_sidecar(container):
        if latest is not None and latest.has_succeeded:
            return
        begun = any(seen.view.latest(c["name"]) for c in pod["spec"]["containers"])
        if latest is None and begun and "waiting" in status["state"]:
            # Its remains were collected; the Pod would not have come this far without it.
            status["state"] = {
                "terminated": {
                    "reason": "Completed",
                    "exitCode": 0,
                    "message": "container is gone and the pod was initialized",
                }
            }
            return
    reason = seen.reasons.get(container["name"])
    if reason is None or (latest is not None and latest.is_running):
        return
    name = container["name"]
    if name not in restart.restarting(pod, seen.view) and not should_restart(pod, container, latest):
        return
    if "terminated" in status["state"]:
        status["lastState"] = status["state"]
    waiting = {"reason": reason.reason}
    if reason.message:
        waiting["message"] = reason.message
    status["state"] = {"waiting": waiting}


def _set_ready(
    container: Object, field: str, status: dict[str, Any], latest: ContainerView | None, seen: Observed
) -> None:
    """Set `started` and `ready` from the probes' verdicts."""
    running = "running" in status["state"]
    started = False
    if running and latest is not None:
        verdict = seen.results.get(latest.id, Kind.STARTUP)
        started = not container.get("startupProbe") or verdict is Verdict.SUCCESS
    status["started"] = started
    if field == "initContainers" and not is_sidecar(container):
        terminated = status["state"].get("terminated")
        status["ready"] = terminated is not None and terminated["exitCode"] == 0
        return
    ready = started and field != "ephemeralContainers"
    if ready and container.get("readinessProbe") and latest is not None:
        ready = seen.results.get(latest.id, Kind.READINESS) is Verdict.SUCCESS
    status["ready"] = ready


def _resources(container: Object, view: ContainerView) -> dict[str, Any]:
    """Report what is enforced, in the spec's own words where they mean the same."""
    asked = container.get("resources") or {}
    found = {kind: dict(asked[kind]) for kind in ("limits", "requests") if asked.get(kind)}
    enforced = view.resources
    if view.state is not State.RUNNING:
        return found
    limits, requests = found.get("limits", {}), found.get("requests", {})
    if "cpu" in limits and enforced.cpu_quota and enforced.cpu_period:
        milli = enforced.cpu_quota * 1000 // enforced.cpu_period
        asked_milli = resources.milli_cpu(asked, "limits")
        if milli != asked_milli and max(milli, asked_milli) > _MIN_QUOTA_MILLI:
            limits["cpu"] = f"{milli}m"
    if "memory" in limits and enforced.memory_bytes:
        lag = abs(enforced.memory_bytes - resources.memory_bytes(asked, "limits"))
        if lag >= 4096:  # the kernel rounds to pages
            limits["memory"] = str(enforced.memory_bytes)
    if "cpu" in requests and enforced.cpu_shares:
        asked_milli = resources.milli_cpu(asked, "requests")
        if enforced.cpu_shares != resources.shares(asked_milli):
            requests["cpu"] = f"{resources.shares_to_milli(enforced.cpu_shares)}m"
    return found


def _with_mounts(container: Object, status: dict[str, Any]) -> dict[str, Any]:
    mounts = []
    for mount in container.get("volumeMounts") or ():
        entry: dict[str, Any] = {"name": mount["name"], "mountPath": mount["mountPath"]}
        if mount.get("readOnly"):
            entry |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
        mounts.append(entry)
    if mounts:
        status["volumeMounts"] = mounts
    return status
