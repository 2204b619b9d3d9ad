"""A Pod's phase from its container statuses. Pure.

Source: pkg/kubelet/kubelet_pods.go getPhase.
"""

import collections
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nanokube.kubelet.pod_worker.plan import is_sidecar
from nanokube.kubelet.pod_worker.restart import restarts

Object = Mapping[str, Any]


def phase(
    pod: Object,
    init: Sequence[Object],
    containers: Sequence[Object],
    *,
    restarting: Collection[str] = (),
    is_terminal: bool = False,
) -> str:
    """Return Pending, Running, Succeeded or Failed.

    restarting: names of containers that start again whatever their policy says of their exit.
    is_terminal: nothing will be started again.
    """
    count = _count_init(pod, init, restarting)
    if count["init failed"]:
        return "Failed"
    running_sidecars = count["running"]
    _count_containers(pod, containers, restarting, count)
    # Sidecars restarting do not take a Pod back to Pending once an ordinary container exists.
    initialized = any(not _is_waiting_first(s) for s in containers)
    if count["init pending"] or (count["sidecar pending"] and not initialized) or count["waiting"]:
        return "Pending"
    if count["unknown"]:
        return "Pending"
    if count["running"] and (count["running"] > running_sidecars or not count["stopped"]):
        return "Running"
    if count["running"] and not is_terminal:
        return "Running"
    if not count["stopped"]:
        return "Pending"
    if not is_terminal and count["stopped"] != count["stopped for good"]:
        return "Running"
    return "Succeeded" if count["stopped"] == count["succeeded"] else "Failed"


def _count_init(
    pod: Object, statuses: Sequence[Object], restarting: Collection[str]
) -> collections.Counter[str]:
    count: collections.Counter[str] = collections.Counter()
    by_name = {status["name"]: status for status in statuses}
    for container in pod["spec"].get("initContainers") or ():
        status = by_name.get(container["name"])
        state = status["state"] if status else {}
        if is_sidecar(container):
            count.update(_sidecar_marks(status))
            continue
        exited = state.get("terminated")
        if "waiting" in state and status:
            exited = (status.get("lastState") or {}).get("terminated")
        if exited is None:
            count["init pending"] += 1
        elif exited["exitCode"] != 0:
            if container["name"] in restarting or restarts(pod, container, exited["exitCode"]):
                count["init pending"] += 1
            else:
                count["init failed"] += 1
    return count


def _sidecar_marks(status: Object | None) -> list[str]:
    state = status["state"] if status else {}
    if "running" in state and status:
        return ["running"] if status.get("started") else ["running", "sidecar pending"]
    if "terminated" in state:
        return []
    if status and (status.get("lastState") or {}).get("terminated"):
        return []
    return ["sidecar pending", "waiting" if status else "unknown"]


def _count_containers(
    pod: Object, statuses: Sequence[Object], restarting: Collection[str], count: collections.Counter[str]
) -> None:
    by_name = {status["name"]: status for status in statuses}
    for container in pod["spec"]["containers"]:
        status = by_name.get(container["name"])
        if status is None:
            count["unknown"] += 1
            continue
        if "running" in status["state"]:
            count["running"] += 1
            continue
        exited = status["state"].get("terminated") or (status.get("lastState") or {}).get("terminated")
        if exited is None:
            count["waiting"] += 1
            continue
        count["stopped"] += 1
        if container["name"] not in restarting and not restarts(pod, container, exited["exitCode"]):
            count["stopped for good"] += 1
        if "terminated" in status["state"] and exited["exitCode"] == 0:
            count["succeeded"] += 1


def _is_waiting_first(status: Object) -> bool:
    return "waiting" in status["state"] and not (status.get("lastState") or {}).get("terminated")
