"""RPCs ListMetricDescriptors, ListPodSandboxMetrics and StreamPodSandboxMetrics."""

import os
from collections.abc import Iterator

import grpc

from cri.api import runtime_pb2 as pb
from cri.cgroup.group import Group, read
from cri.server import batches, container_stats, metric_table, pod_sandbox_stats, stats_messages, usage
from cri.server.environment import Environment
from cri.store import records

_PROCESSES_MAX = 256  # beyond this, descriptors are counted for some of the processes only


def descriptors(
    env: Environment, request: pb.ListMetricDescriptorsRequest, context: grpc.ServicerContext
) -> pb.ListMetricDescriptorsResponse:
    """Say which metrics there are."""
    return pb.ListMetricDescriptorsResponse(
        descriptors=[
            pb.MetricDescriptor(name=metric.name, help=metric.help, label_keys=metric.label_keys)
            for metric in metric_table.METRICS
        ]
    )


def list_all(
    env: Environment, request: pb.ListPodSandboxMetricsRequest, context: grpc.ServicerContext
) -> pb.ListPodSandboxMetricsResponse:
    """Measure all ready sandboxes."""
    return pb.ListPodSandboxMetricsResponse(pod_metrics=_all(env))


def stream(
    env: Environment, request: pb.StreamPodSandboxMetricsRequest, context: grpc.ServicerContext
) -> Iterator[pb.StreamPodSandboxMetricsResponse]:
    """Return the same in batches."""
    for batch in batches.of(_all(env), 10):  # each holds some fifty metrics a container
        yield pb.StreamPodSandboxMetricsResponse(pod_sandbox_metrics=batch)


def _all(env: Environment) -> list[pb.PodSandboxMetrics]:
    ready = [item for item in env.store.sandboxes.all() if item.state is records.SandboxState.READY]
    return [_sandbox(env, record) for record in ready]


def _sandbox(env: Environment, record: records.Sandbox) -> pb.PodSandboxMetrics:
    reading = _reading(env, record.cgroup, record.id, record.created_at, record.config.linux.resources)
    reading.network.update(stats_messages.interfaces(pod_sandbox_stats.network_counters(env, record)))
    labels = (
        record.id,
        record.name,
        "",
        "POD",
        record.config.metadata.name,
        record.config.metadata.namespace,
    )
    members = container_stats.live(env.store.containers_of(record.id))
    return pb.PodSandboxMetrics(
        pod_sandbox_id=record.id,
        metrics=of_reading(reading, labels, is_pod_level=True),
        container_metrics=[_container(env, member, record) for member in members],
    )


def _container(env: Environment, record: records.Container, pod: records.Sandbox) -> pb.ContainerMetrics:
    limits = record.resources or record.config.linux.resources
    reading = _reading(env, record.cgroup, record.id, record.started_at, limits)
    metrics = of_reading(reading, container_labels(record, pod), is_pod_level=False)
    return pb.ContainerMetrics(container_id=record.id, metrics=metrics)


def container_labels(record: records.Container, pod: records.Sandbox) -> tuple[str, ...]:
    """Return the values of metric_table.LABELS for a container. Pure."""
    image = record.config.image
    return (
        record.id,
        records.container_name(record.config.metadata, pod.config.metadata),
        image.user_specified_image or image.image,  # a kubelet asks for the image by its id
        record.config.metadata.name,
        pod.config.metadata.name,
        pod.config.metadata.namespace,
    )


def of_reading(
    reading: metric_table.Reading, labels: tuple[str, ...], *, is_pod_level: bool
) -> list[pb.Metric]:
    """Write a reading as metrics. Pure.

    Without timestamps: those tell of what was measured before it was asked for. Source: api.proto, Metric.
    """
    return [
        pb.Metric(
            name=metric.name,
            metric_type=metric.kind,
            label_values=labels + values,
            value=stats_messages.count(number),
        )
        for metric in metric_table.METRICS
        if metric.is_pod_level == is_pod_level
        for values, number in metric.samples(reading)
    ]


def _reading(
    env: Environment, cgroup: str, identity: str, started_at: int, limits: pb.LinuxContainerResources
) -> metric_table.Reading:
    group = Group(env.hierarchies, cgroup)
    filesystem = os.statvfs(env.config.lib_dir)
    processes = group.processes()
    files, sockets, threads = _count_descriptors(processes)
    return metric_table.Reading(
        usage=usage.collect(group, env.now),
        disk=container_stats.disk(env, identity),
        disk_total_bytes=filesystem.f_blocks * filesystem.f_frsize,
        inodes_total=filesystem.f_files,
        inodes_free=filesystem.f_ffree,
        started_at=started_at,
        resources=limits,
        open_files=files,
        sockets=sockets,
        threads=threads,
        io=_io(group),
        network={},
    )


def _count_descriptors(processes: list[int]) -> tuple[int, int, int]:
    """Return open files, sockets among them, and threads of some processes; one that ended counts no more."""
    files = sockets = threads = 0
    for pid in processes[:_PROCESSES_MAX]:
        try:
            targets = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
            threads += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
        files += len(targets)
        sockets += sum(target.startswith("socket:") for target in targets)
    return files, sockets, threads


def _io(group: Group) -> list[tuple[str, str, int, int]]:
    """Return device, operation, bytes, count. Source: cgroup-v1/blkio-controller.rst, cgroup-v2.rst."""
    if directory := group.hierarchies.v1.get("blkio"):
        base = f"{directory}/{group.path}/blkio.throttle"
        sizes = _blkio(read(f"{base}.io_service_bytes"))
        counts = _blkio(read(f"{base}.io_serviced"))
        return [(*key, size, counts.get(key, 0)) for key, size in sizes.items()]
    found = []
    for line in read(f"{group.unified}/io.stat").splitlines():
        device, *pairs = line.split()
        values = {key: int(value) for key, _, value in (pair.partition("=") for pair in pairs)}
        found.append((device, "Read", values.get("rbytes", 0), values.get("rios", 0)))
        found.append((device, "Write", values.get("wbytes", 0), values.get("wios", 0)))
    return found


def _blkio(text: str) -> dict[tuple[str, str], int]:
    """Read lines of device, operation, number; the totals have two words and are left out."""
    rows = (line.split() for line in text.splitlines())
    return {(row[0], row[1]): int(row[2]) for row in rows if len(row) == 3}
