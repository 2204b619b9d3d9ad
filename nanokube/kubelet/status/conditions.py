"""Pod conditions the kubelet owns. Pure.

Source: pkg/kubelet/status/generate.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nanokube.api import timestamps
from nanokube.kubelet.pod_worker import restart
from nanokube.kubelet.pod_worker.plan import is_sidecar
from nanokube.kubelet.podview import PodView

Object = Mapping[str, Any]
Condition = dict[str, Any]


def generate(
    pod: Object,
    phase: str,
    init: Sequence[Object],
    containers: Sequence[Object],
    *,
    has_sandbox: bool,
    now: float,
) -> list[Condition]:
    """Build the owned conditions; a transition time moves only when the status does."""
    by_name = {status["name"]: status for status in (*init, *containers)}
    containers_ready = _containers_ready(pod, phase, by_name)
    built = [
        _condition("PodReadyToStartContainers", has_sandbox),
        _initialized(pod, phase, by_name, containers),
        _ready(pod, containers_ready),
        containers_ready,
        _condition("PodScheduled", True),
    ]
    old = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or ()}
    return [_dated(pod, condition, old.get(condition["type"]), now) for condition in built]


def disrupted(pod: Object, message: str, now: float) -> Condition:
    """Build the condition of a Pod that the kubelet ended for the node's sake."""
    built = _condition("DisruptionTarget", True, "TerminationByKubelet", message)
    old = (c for c in (pod.get("status") or {}).get("conditions") or () if c["type"] == built["type"])
    return _dated(pod, built, next(old, None), now)


def restarting(pod: Object, phase: str, view: PodView, now: float) -> list[Condition]:
    """Build the condition of a Pod of which a rule may restart all containers; none of any other."""
    if not restart.may_restart_all(pod):
        return []
    type_ = "AllContainersRestarting"
    if phase in ("Succeeded", "Failed"):
        built = _condition(type_, False, "PodCompleted" if phase == "Succeeded" else "PodFailed")
    elif restart.divided(pod, view)[1]:
        message = "container exited with restart policy rule"
        built = _condition(type_, True, "RestartAllContainersStarted", message)
    else:
        built = _condition(type_, False)
    old = (c for c in (pod.get("status") or {}).get("conditions") or () if c["type"] == type_)
    return [_dated(pod, built, next(old, None), now)]


def _condition(type_: str, status: bool, reason: str = "", message: str = "") -> Condition:
    found: Condition = {"type": type_, "status": "True" if status else "False"}
    if reason:
        found["reason"] = reason
    if message:
        found["message"] = message
    return found


def _containers_ready(pod: Object, phase: str, by_name: Mapping[str, Object]) -> Condition:
    sidecars = [c for c in pod["spec"].get("initContainers") or () if is_sidecar(c)]
    names = [c["name"] for c in (*sidecars, *pod["spec"]["containers"])]
    unknown = [name for name in names if name not in by_name]
    unready = [name for name in names if name in by_name and not by_name[name]["ready"]]
    if phase == "Failed":
        return _condition("ContainersReady", False, "PodFailed")
    if phase == "Succeeded" and not unknown:
        return _condition("ContainersReady", False, "PodCompleted")
    return _complete("ContainersReady", "ContainersNotReady", unknown, unready, "unready")


def _complete(type_: str, reason: str, unknown: list[str], lacking: list[str], word: str) -> Condition:
    parts = []
    if unknown:
        parts.append(f"containers with unknown status: [{' '.join(unknown)}]")
    if lacking:
        parts.append(f"containers with {word} status: [{' '.join(lacking)}]")
    return _condition(type_, not parts, reason if parts else "", ", ".join(parts))


def _ready(pod: Object, containers_ready: Condition) -> Condition:
    if containers_ready["status"] != "True":
        return {**containers_ready, "type": "Ready"}
    present = {c["type"]: c["status"] for c in (pod.get("status") or {}).get("conditions") or ()}
    lacking = []
    for gate in pod["spec"].get("readinessGates") or ():
        name = gate["conditionType"]
        if name not in present:
            lacking.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif present[name] != "True":
            lacking.append(f'the status of pod readiness gate "{name}" is not "True", but {present[name]}')
    return _condition("Ready", not lacking, "ReadinessGatesNotReady" if lacking else "", ", ".join(lacking))


def _initialized(
    pod: Object, phase: str, by_name: Mapping[str, Object], containers: Sequence[Object]
) -> Condition:
    init = pod["spec"].get("initContainers") or ()
    unknown = [c["name"] for c in init if c["name"] not in by_name]
    incomplete = [
        c["name"]
        for c in init
        if c["name"] in by_name and not by_name[c["name"]]["started" if is_sidecar(c) else "ready"]
    ]
    if phase == "Succeeded" and not unknown:
        return _condition("Initialized", True, "PodCompleted")
    if any(_has_started(status) for status in containers):
        return _condition("Initialized", True)
    return _complete("Initialized", "ContainersNotInitialized", unknown, incomplete, "incomplete")


def _has_started(status: Object) -> bool:
    state = status["state"]
    return bool(
        "running" in state
        or (state.get("terminated") or {}).get("startedAt")
        or (status.get("lastState") or {}).get("terminated")
    )


def _dated(pod: Object, condition: Condition, old: Object | None, now: float) -> Condition:
    since = old.get("lastTransitionTime") if old and old["status"] == condition["status"] else None
    generation = pod["metadata"].get("generation")
    return {
        **condition,
        **({"observedGeneration": generation} if generation else {}),
        "lastTransitionTime": since or timestamps.format_time(now),
    }
