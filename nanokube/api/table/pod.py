"""Columns of Pods, and the status that kubectl users know. Pure. Source: printPod of printers.go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from nanokube.api import objects, timestamps
from nanokube.api.objects import Object
from nanokube.api.table.columns import AGE, NAME, NONE, Column, Columns, age, wide


@dataclass(slots=True)
class Summary:
    """What the READY, STATUS and RESTARTS cells show."""

    reason: str
    ready: int = 0
    total: int = 0
    restarts: int = 0
    last_restart: str = ""
    is_initializing: bool = False

    def count_restarts(self, container: Object) -> None:
        """Add the restarts of a container and remember the latest (RFC 3339 in UTC sorts as text)."""
        self.restarts += container.get("restartCount") or 0
        ended = (container.get("lastState") or {}).get("terminated") or {}
        self.last_restart = max(self.last_restart, ended.get("finishedAt") or "")


def summarize(pod: Object) -> Summary:
    """Work out READY, STATUS and RESTARTS of a Pod."""
    spec, status = objects.spec(pod), objects.status(pod)
    summary = Summary(status.get("reason") or status.get("phase") or "")
    if any(c.get("reason") == "SchedulingGated" for c in objects.conditions(pod)):
        summary.reason = "SchedulingGated"
    sidecars = {c.get("name") for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    summary.total = len(spec.get("containers") or ()) + len(sidecars)
    kept = _init_containers(summary, pod, sidecars)
    if not summary.is_initializing or objects.is_condition_true(pod, "Initialized"):
        summary.restarts, summary.last_restart = kept.restarts, kept.last_restart
        _main_containers(summary, pod)
    if objects.is_deleting(pod):
        if status.get("reason") == "NodeLost":
            summary.reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            summary.reason = "Terminating"
    return summary


def _init_containers(summary: Summary, pod: Object, sidecars: set[Any]) -> Summary:
    """Return the restarts of sidecars alone, which go on counting once the pod is initialized."""
    kept = Summary("")
    total = len(objects.spec(pod).get("initContainers") or ())
    for index, container in enumerate(objects.status(pod).get("initContainerStatuses") or ()):
        summary.count_restarts(container)
        is_sidecar = container.get("name") in sidecars
        if is_sidecar:
            kept.count_restarts(container)
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), (state.get("waiting") or {}).get("reason")
        if ended is not None and not ended.get("exitCode"):
            continue
        if is_sidecar and container.get("started"):
            summary.ready += bool(container.get("ready"))
            continue
        if ended is not None:
            summary.reason = "Init:" + _exit_reason(ended)
        elif waiting and waiting != "PodInitializing":
            summary.reason = f"Init:{waiting}"
        else:
            summary.reason = f"Init:{index}/{total}"
        summary.is_initializing = True
        break
    return kept


def _main_containers(summary: Summary, pod: Object) -> None:
    has_running, failure = False, ""
    for container in reversed(objects.status(pod).get("containerStatuses") or ()):
        summary.count_restarts(container)
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), (state.get("waiting") or {}).get("reason")
        if waiting:
            summary.reason = waiting
        elif ended is not None:
            summary.reason = _exit_reason(ended)
            failure = summary.reason if ended.get("exitCode") else failure
        elif container.get("ready") and state.get("running") is not None:
            has_running = True
            summary.ready += 1
    if summary.reason == "Completed":
        if has_running and objects.is_condition_true(pod, "Ready"):
            summary.reason = "Running"
        elif failure:
            summary.reason = failure
        elif has_running:
            summary.reason = "NotReady"


def _exit_reason(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode') or 0}"


def _cells(pod: Object, now: float) -> list[Any]:
    summary, spec, status = summarize(pod), objects.spec(pod), objects.status(pod)
    restarts = str(summary.restarts)
    if summary.restarts and summary.last_restart:
        restarts += f" ({timestamps.age(summary.last_restart, now)} ago)"
    addresses = status.get("podIPs") or [{"ip": status.get("podIP")}]
    return [
        objects.name(pod),
        f"{summary.ready}/{summary.total}",
        summary.reason,
        restarts,
        age(pod, now),
        addresses[0].get("ip") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _readiness_gates(pod),
    ]


def _readiness_gates(pod: Object) -> str:
    gates = objects.spec(pod).get("readinessGates") or ()
    if not gates:
        return NONE
    return f"{sum(objects.is_condition_true(pod, g['conditionType']) for g in gates)}/{len(gates)}"


def _row_conditions(pod: Object) -> list[dict[str, str]]:
    phase = objects.status(pod).get("phase")
    messages = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
    if phase not in messages:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": messages[phase]}]


COLUMNS: Final = Columns(
    (
        NAME,
        Column("Ready", description="How many containers are ready, of how many."),
        Column("Status", description="Phase of the pod, or why it is not running."),
        Column("Restarts", description="How often containers restarted, and when last."),
        AGE,
        wide("IP"),
        wide("Node"),
        wide("Nominated Node"),
        wide("Readiness Gates"),
    ),
    _cells,
    _row_conditions,
)
