"""The document of /stats/summary from CRI statistics. Pure.

Source: staging kubelet/pkg/apis/stats/v1alpha1/types.go.
"""

from collections.abc import Iterable
from typing import Any

from cri.api import runtime_pb2 as pb
from nanokube.api import timestamps
from nanokube.kubelet.node.facts import Usage
from nanokube.kubelet.node.status import Facts


def summary(
    node_name: str,
    facts: Facts,
    used: Usage,
    pods: Iterable[pb.PodSandboxStats],
    started_at: float,
    now: float,
    *,
    cpu_nanocores: int | None = None,
) -> dict[str, Any]:
    """Build the whole document. cpu_nanocores: what the node used lately; None if it is not known yet."""
    stamp = timestamps.format_time(now)
    listed = [_pod(stats, stamp) for stats in pods]
    return {
        "node": {
            "nodeName": node_name,
            "startTime": timestamps.format_time(started_at),
            "cpu": {
                "time": stamp,
                **({} if cpu_nanocores is None else {"usageNanoCores": cpu_nanocores}),
                "usageCoreNanoSeconds": used.cpu_ns,
            },
            "memory": {
                "time": stamp,
                "availableBytes": used.memory_available_bytes,
                "usageBytes": used.memory_bytes,
                "workingSetBytes": used.memory_bytes,
            },
            "fs": {
                "time": stamp,
                "availableBytes": facts.disk_available_bytes,
                "capacityBytes": facts.disk_bytes,
                "usedBytes": facts.disk_bytes - facts.disk_available_bytes,
            },
            "rlimit": {"time": stamp, "maxpid": facts.pids_max, "curproc": facts.pids},
        },
        "pods": listed,
    }


def _pod(stats: pb.PodSandboxStats, stamp: str) -> dict[str, Any]:
    meta, linux = stats.attributes.metadata, stats.linux
    found: dict[str, Any] = {
        "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
        "startTime": stamp,
        "containers": [_container(container, stamp) for container in linux.containers],
    }
    if linux.HasField("cpu"):
        found["cpu"] = _cpu(linux.cpu, stamp)
    if linux.HasField("memory"):
        found["memory"] = _memory(linux.memory, stamp)
    if linux.HasField("network"):
        found["network"] = _network(linux.network, stamp)
    if linux.HasField("process"):
        found["process_stats"] = {"process_count": linux.process.process_count.value}
    return found


def _container(stats: pb.ContainerStats, stamp: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": stats.attributes.metadata.name,
        "startTime": stamp,
        "cpu": _cpu(stats.cpu, stamp),
        "memory": _memory(stats.memory, stamp),
    }
    if stats.HasField("writable_layer"):
        layer = stats.writable_layer
        found["rootfs"] = {
            "time": stamp,
            "usedBytes": layer.used_bytes.value,
            "inodesUsed": layer.inodes_used.value,
        }
    return found


def _cpu(cpu: pb.CpuUsage, stamp: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "time": _stamp(cpu.timestamp, stamp),
        "usageCoreNanoSeconds": cpu.usage_core_nano_seconds.value,
    }
    if cpu.HasField("usage_nano_cores"):
        found["usageNanoCores"] = cpu.usage_nano_cores.value
    return found


def _memory(memory: pb.MemoryUsage, stamp: str) -> dict[str, Any]:
    fields = {
        "availableBytes": "available_bytes",
        "usageBytes": "usage_bytes",
        "workingSetBytes": "working_set_bytes",
        "rssBytes": "rss_bytes",
        "pageFaults": "page_faults",
        "majorPageFaults": "major_page_faults",
    }
    found: dict[str, Any] = {"time": _stamp(memory.timestamp, stamp)}
    for name, field in fields.items():
        if memory.HasField(field):
            found[name] = getattr(memory, field).value
    return found


def _network(network: pb.NetworkUsage, stamp: str) -> dict[str, Any]:
    return {
        "time": _stamp(network.timestamp, stamp),
        **_interface(network.default_interface),
        "interfaces": [_interface(each) for each in network.interfaces],
    }


def _interface(usage: pb.NetworkInterfaceUsage) -> dict[str, Any]:
    return {
        "name": usage.name,
        "rxBytes": usage.rx_bytes.value,
        "rxErrors": usage.rx_errors.value,
        "txBytes": usage.tx_bytes.value,
        "txErrors": usage.tx_errors.value,
    }


def _stamp(nanoseconds: int, default: str) -> str:
    return timestamps.format_time(nanoseconds / 1e9) if nanoseconds else default
