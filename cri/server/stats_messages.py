"""Readings as CRI's stats messages. Pure."""

from cri.api import runtime_pb2 as pb
from cri.server.pressure import Pressure, Stall
from cri.server.usage import Usage
from cri.snapshots.overlay import Usage as DiskUsage
from cri.store import records


def container(
    record: records.Container, usage: Usage, nano_cores: int | None, disk: DiskUsage, mountpoint: str
) -> pb.ContainerStats:
    """Return one container's stats."""
    return pb.ContainerStats(
        attributes=pb.ContainerAttributes(
            id=record.id,
            metadata=record.config.metadata,
            labels=record.config.labels,
            annotations=record.config.annotations,
        ),
        cpu=cpu(usage, nano_cores),
        memory=memory(usage),
        io=io(usage),
        swap=swap(usage),
        writable_layer=pb.FilesystemUsage(
            timestamp=usage.timestamp,
            fs_id=pb.FilesystemIdentifier(mountpoint=mountpoint),
            used_bytes=count(disk.bytes),
            inodes_used=count(disk.inodes),
        ),
    )


def sandbox_attributes(record: records.Sandbox) -> pb.PodSandboxAttributes:
    """Return what names a sandbox in its stats."""
    return pb.PodSandboxAttributes(
        id=record.id,
        metadata=record.config.metadata,
        labels=record.config.labels,
        annotations=record.config.annotations,
    )


def cpu(usage: Usage, nano_cores: int | None) -> pb.CpuUsage:
    """Return CPU time; nano_cores is the rate since the last reading, None at the first."""
    message = pb.CpuUsage(timestamp=usage.timestamp, usage_core_nano_seconds=count(usage.cpu.total_ns))
    if usage.pressures.cpu:
        message.psi.CopyFrom(_psi(usage.pressures.cpu))
    if nano_cores is not None:
        message.usage_nano_cores.value = nano_cores
    return message


def memory(usage: Usage) -> pb.MemoryUsage:
    """Return memory; available_bytes only under a limit."""
    message = pb.MemoryUsage(
        timestamp=usage.timestamp,
        working_set_bytes=count(usage.memory.working_set),
        usage_bytes=count(usage.memory.usage),
        rss_bytes=count(usage.memory.rss),
        page_faults=count(usage.memory.faults),
        major_page_faults=count(usage.memory.major_faults),
    )
    if usage.memory.limit:
        message.available_bytes.value = usage.memory.available
    if usage.pressures.memory:
        message.psi.CopyFrom(_psi(usage.pressures.memory))
    return message


def io(usage: Usage) -> pb.IoUsage | None:
    """Return how I/O kept processes waiting, all that CRI has of it; None where the kernel does not tell."""
    if usage.pressures.io is None:
        return None
    return pb.IoUsage(timestamp=usage.timestamp, psi=_psi(usage.pressures.io))


def _psi(pressure: Pressure) -> pb.PsiStats:
    def data(stall: Stall) -> pb.PsiData:
        return pb.PsiData(Total=stall.total_ns, Avg10=stall.avg10, Avg60=stall.avg60, Avg300=stall.avg300)

    return pb.PsiStats(Full=data(pressure.full), Some=data(pressure.some))


def swap(usage: Usage) -> pb.SwapUsage:
    """Return swapped memory; swap_available_bytes only under a limit."""
    message = pb.SwapUsage(timestamp=usage.timestamp, swap_usage_bytes=count(usage.memory.swap))
    if usage.memory.swap_available is not None:
        message.swap_available_bytes.value = usage.memory.swap_available
    return message


def network(text: str, timestamp: int, default: str) -> pb.NetworkUsage | None:
    """Read /proc/net/dev; loopback is not counted. None without the default interface.

    A kubelet that takes all stats from CRI trusts that the message has one, and crashes without.
    Source: proc_pid_net(5); kubelet/stats/cri_stats_provider_linux.go.
    """
    message = pb.NetworkUsage(timestamp=timestamp)
    for name, fields in interfaces(text).items():
        usage = pb.NetworkInterfaceUsage(
            name=name,
            rx_bytes=count(fields[0]),
            rx_errors=count(fields[2]),
            tx_bytes=count(fields[8]),
            tx_errors=count(fields[10]),
        )
        if name == default:
            message.default_interface.CopyFrom(usage)
        else:
            message.interfaces.append(usage)
    return message if message.HasField("default_interface") else None


def interfaces(text: str) -> dict[str, list[int]]:
    """Return the 16 counters of each interface of /proc/net/dev but loopback."""
    rows = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    found = {name.strip(): [int(word) for word in rest.split()] for name, rest in rows}
    return {name: fields for name, fields in found.items() if name != "lo" and len(fields) >= 16}


def count(value: int) -> pb.UInt64Value:
    """Wrap a number, which a message may also lack."""
    return pb.UInt64Value(value=value)
