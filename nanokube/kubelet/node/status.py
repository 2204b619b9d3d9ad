"""The Node object: what the node is and has, and how it fares. Pure; facts.py reads the machine.

Source: pkg/kubelet/nodestatus/setters.go, pkg/kubelet/kubelet_node_status.go.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.api import quantity, timestamps
from nanokube.kubelet.config import KUBELET_VERSION, KubeletConfig

Object = Mapping[str, Any]

MAX_IMAGES = 50
MAX_IMAGE_NAMES = 5
MEMORY_FLOOR_BYTES = 100 * 1024 * 1024  # eviction's memory.available default
DISK_FLOOR = 0.05
DISK_FLOOR_BYTES = 1 << 30
PID_FLOOR = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What the machine says of itself."""

    cpus: int
    memory_bytes: int
    memory_available_bytes: int
    disk_bytes: int
    disk_available_bytes: int
    pids_max: int
    pids: int
    machine_id: str
    system_uuid: str
    boot_id: str
    kernel: str
    os_image: str
    architecture: str
    runtime_version: str = ""
    hugepages: Mapping[str, int] = dataclasses.field(default_factory=dict)


def labels(config: KubeletConfig, facts: Facts) -> dict[str, str]:
    """Label a node with what it is."""
    return {
        "kubernetes.io/hostname": config.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": facts.architecture,
        **config.labels,
    }


def node(config: KubeletConfig, facts: Facts) -> dict[str, Any]:
    """Build the object to register."""
    spec: dict[str, Any] = {}
    if config.pod_cidrs:
        spec |= {"podCIDR": config.pod_cidrs[0], "podCIDRs": list(config.pod_cidrs)}
    if config.taints:
        spec["taints"] = [dict(taint) for taint in config.taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": config.node_name,
            "labels": labels(config, facts),
            "annotations": dict(config.annotations),
        },
        "spec": spec,
    }


def capacity(config: KubeletConfig, facts: Facts) -> dict[str, str]:
    """List what the node has."""
    found = {
        "cpu": str(facts.cpus),
        "memory": f"{facts.memory_bytes // 1024}Ki",
        "ephemeral-storage": f"{facts.disk_bytes // 1024}Ki",
        "pods": str(config.max_pods),
    }
    for size in ("2Mi", "1Gi"):
        found[f"hugepages-{size}"] = str(facts.hugepages.get(size, 0))
    return {**found, **config.capacity}


def allocatable(config: KubeletConfig, has: Mapping[str, str]) -> dict[str, str]:
    """List what Pods may have: capacity less what is reserved."""
    found = dict(has)
    for name, reserved in config.reserved.items():
        if name in found:
            found[name] = str(quantity.parse(found[name]) - quantity.parse(reserved))
    return found


# What API server and scheduler ask of a node, sorted; source: component-helpers nodedeclaredfeatures.
DECLARED = ("InPlacePodVerticalScalingInitContainers", "RestartAllContainersOnContainerExits")


def status(
    config: KubeletConfig,
    facts: Facts,
    old: Object,
    images: Sequence[Object],
    *,
    not_ready: str,
    now: float,
    runtime: Object | None = None,
) -> dict[str, Any]:
    """Build a node's status.

    not_ready: why Pods cannot run here, "" when they can. runtime: what runtime_features made, None if the
    runtime did not answer, which leaves the old.
    """
    has = capacity(config, facts)
    extended = {name: value for name, value in (old.get("capacity") or {}).items() if name not in has}
    return {
        "capacity": {**has, **extended},
        "allocatable": {**allocatable(config, has), **extended},
        "conditions": conditions(facts, old, not_ready, now),
        "addresses": [
            *[{"type": "InternalIP", "address": each} for each in config.node_ips],
            {"type": "Hostname", "address": config.node_name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": config.port}},
        "nodeInfo": {
            "machineID": facts.machine_id,
            "systemUUID": facts.system_uuid,
            "bootID": facts.boot_id,
            "kernelVersion": facts.kernel,
            "osImage": facts.os_image,
            "containerRuntimeVersion": facts.runtime_version,
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": facts.architecture,
        },
        **(runtime if runtime is not None else {}),
        "declaredFeatures": list(DECLARED),
        "images": [dict(image) for image in images[:MAX_IMAGES]],
    }


def runtime_features(answer: pb.StatusResponse) -> dict[str, Any]:
    """Show what the runtime and its handlers can do.

    Source: pkg/kubelet/nodestatus/setters.go RuntimeHandlers, NodeFeatures.
    """
    handlers = [
        {
            "name": handler.name,
            "features": {
                "recursiveReadOnlyMounts": handler.features.recursive_read_only_mounts,
                "userNamespaces": handler.features.user_namespaces,
            },
        }
        for handler in answer.runtime_handlers
    ]
    features = {"supplementalGroupsPolicy": answer.features.supplemental_groups_policy}
    return {"runtimeHandlers": handlers, "features": features}


def conditions(facts: Facts, old: Object, not_ready: str, now: float) -> list[dict[str, Any]]:
    """Judge the node."""
    memory_short = facts.memory_available_bytes < MEMORY_FLOOR_BYTES
    disk_floor = min(facts.disk_bytes * DISK_FLOOR, DISK_FLOOR_BYTES)
    disk_short = facts.disk_available_bytes < disk_floor
    pids_short = facts.pids_max - facts.pids < facts.pids_max * PID_FLOOR
    judged = [
        _pressure(
            "MemoryPressure", memory_short, "Memory", "SufficientMemory", "sufficient memory available"
        ),
        _pressure("DiskPressure", disk_short, "Disk", "NoDiskPressure", "no disk pressure"),
        _pressure("PIDPressure", pids_short, "PID", "SufficientPID", "sufficient PID available"),
        {
            "type": "Ready",
            "status": "False" if not_ready else "True",
            "reason": "KubeletNotReady" if not_ready else "KubeletReady",
            "message": not_ready or "kubelet is posting ready status",
        },
    ]
    before = {c["type"]: c for c in old.get("conditions") or ()}
    stamp = timestamps.format_time(now)
    for condition in judged:
        known = before.get(condition["type"])
        same = known is not None and known["status"] == condition["status"]
        condition["lastHeartbeatTime"] = stamp
        condition["lastTransitionTime"] = known["lastTransitionTime"] if known and same else stamp
    return judged


def _pressure(type_: str, is_short: bool, what: str, fine: str, words: str) -> dict[str, Any]:
    if is_short:
        reason = f"KubeletHasInsufficient{what}" if what != "Disk" else "KubeletHasDiskPressure"
        message = words.replace("sufficient", "insufficient").replace("no disk", "disk")
        return {"type": type_, "status": "True", "reason": reason, "message": f"kubelet has {message}"}
    return {
        "type": type_,
        "status": "False",
        "reason": f"KubeletHas{fine}",
        "message": f"kubelet has {words}",
    }


def without_heartbeats(value: Object) -> dict[str, Any]:
    """Strip what changes at every look, to tell whether anything that matters did."""
    bare = [
        {key: v for key, v in condition.items() if key != "lastHeartbeatTime"}
        for condition in value["conditions"]
    ]
    return {**value, "conditions": bare}
