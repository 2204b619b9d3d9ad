"""RPCs PodSandboxStats, ListPodSandboxStats and StreamPodSandboxStats."""

import logging
from collections.abc import Iterator

import grpc

from cri.api import runtime_pb2 as pb
from cri.cgroup.group import Group
from cri.network import attach, sandbox
from cri.server import batches, container_stats, filters, stats_messages, usage
from cri.server.environment import Environment
from cri.store import records

log = logging.getLogger(__name__)


def handle(
    env: Environment, request: pb.PodSandboxStatsRequest, context: grpc.ServicerContext
) -> pb.PodSandboxStatsResponse:
    """Return one sandbox's use of resources with its containers'. Raises RuntimeFault NOT_FOUND."""
    record = env.store.sandboxes.get(request.pod_sandbox_id)
    return pb.PodSandboxStatsResponse(stats=_read(env, record))


def list_all(
    env: Environment, request: pb.ListPodSandboxStatsRequest, context: grpc.ServicerContext
) -> pb.ListPodSandboxStatsResponse:
    """Return the same for the ready sandboxes the filter selects."""
    return pb.ListPodSandboxStatsResponse(stats=_select(env, request.filter))


def stream(
    env: Environment, request: pb.StreamPodSandboxStatsRequest, context: grpc.ServicerContext
) -> Iterator[pb.StreamPodSandboxStatsResponse]:
    """Return the same in batches."""
    for batch in batches.of(_select(env, request.filter)):
        yield pb.StreamPodSandboxStatsResponse(pod_sandbox_stats=batch)


def network_counters(env: Environment, record: records.Sandbox) -> str:
    """Return /proc/net/dev of a sandbox's own network, "" without one."""
    netns = record.namespaces.get("net")
    if not netns or record.is_network_down:
        return ""
    try:
        return env.worker.run(sandbox.interface_counters, netns)
    except OSError as err:
        log.debug("network counters not read sandbox=%s: %s", record.id, err)
        return ""


def _read(env: Environment, record: records.Sandbox) -> pb.PodSandboxStats:
    reading = usage.collect(Group(env.hierarchies, record.cgroup), env.now)
    rate = env.rates.update(record.id, reading.timestamp, reading.cpu.total_ns)
    members = container_stats.live(env.store.containers_of(record.id))
    counters = network_counters(env, record)
    return pb.PodSandboxStats(
        attributes=stats_messages.sandbox_attributes(record),
        linux=pb.LinuxPodSandboxStats(
            cpu=stats_messages.cpu(reading, rate),
            memory=stats_messages.memory(reading),
            io=stats_messages.io(reading),
            network=stats_messages.network(counters, reading.timestamp, attach.INTERFACE),
            process=pb.ProcessUsage(
                timestamp=reading.timestamp, process_count=stats_messages.count(reading.processes)
            ),
            containers=[container_stats.read(env, member) for member in members],
        ),
    )


def _select(env: Environment, selector: pb.PodSandboxStatsFilter) -> list[pb.PodSandboxStats]:
    chosen = filters.sandboxes(env.store.sandboxes.all(), selector, pb.SANDBOX_READY)
    return [_read(env, record) for record in chosen]
