"""RPCs ContainerStats, ListContainerStats and StreamContainerStats."""

from collections.abc import Iterator

import grpc

from cri.api import runtime_pb2 as pb
from cri.cgroup.group import Group
from cri.server import batches, filters, stats_messages, usage
from cri.server.environment import Environment
from cri.snapshots.overlay import Usage as DiskUsage
from cri.store import records


def handle(
    env: Environment, request: pb.ContainerStatsRequest, context: grpc.ServicerContext
) -> pb.ContainerStatsResponse:
    """Return one container's use of resources. Raises RuntimeFault NOT_FOUND."""
    record = env.store.containers.get(request.container_id)
    return pb.ContainerStatsResponse(stats=read(env, record))


def list_all(
    env: Environment, request: pb.ListContainerStatsRequest, context: grpc.ServicerContext
) -> pb.ListContainerStatsResponse:
    """Return the same for the live containers the filter selects."""
    return pb.ListContainerStatsResponse(stats=_select(env, request.filter))


def stream(
    env: Environment, request: pb.StreamContainerStatsRequest, context: grpc.ServicerContext
) -> Iterator[pb.StreamContainerStatsResponse]:
    """Return the same in batches."""
    for batch in batches.of(_select(env, request.filter)):
        yield pb.StreamContainerStatsResponse(container_stats=batch)


def read(env: Environment, record: records.Container) -> pb.ContainerStats:
    """Measure one container."""
    reading = usage.collect(Group(env.hierarchies, record.cgroup), env.now)
    rate = env.rates.update(record.id, reading.timestamp, reading.cpu.total_ns)
    return stats_messages.container(
        record, reading, rate, disk(env, record.id), str(env.config.snapshots_dir)
    )


def disk(env: Environment, identity: str) -> DiskUsage:
    """Measure a writable layer; what has none, or lost it meanwhile, takes nothing."""
    try:
        return env.snapshots.usage(identity)
    except FileNotFoundError:
        return DiskUsage(0, 0)


def live(items: list[records.Container]) -> list[records.Container]:
    """Return those that have processes. Pure."""
    return [item for item in items if item.state is not records.ContainerState.EXITED]


def _select(env: Environment, selector: pb.ContainerStatsFilter) -> list[pb.ContainerStats]:
    chosen = filters.containers(env.store.containers.all(), selector)
    return [read(env, record) for record in live(chosen)]
