"""RPCs UpdateContainerResources and UpdatePodSandboxResources."""

import dataclasses

import grpc

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.bundle import build, spec
from cri.cgroup import group
from cri.runtime.faults import of_limits
from cri.server import cgroups
from cri.server.environment import Environment
from cri.store import records


def container(
    env: Environment, request: pb.UpdateContainerResourcesRequest, context: grpc.ServicerContext
) -> pb.UpdateContainerResourcesResponse:
    """Change a live container's limits; fields that are zero stay. Raises RuntimeFault, BuildError."""
    record = env.store.containers.get(request.container_id)
    with env.store.containers.lock(record.id):
        record = env.store.containers.get(record.id)
        if record.state is records.ContainerState.EXITED:
            raise faults.precondition(f"cannot update container {record.id!r}: it is exited")
        current = record.resources or record.config.linux.resources
        env.client.update_resources(record.id, build.resources(complete(request.linux, current)))
        after = merged(request.linux, current)
        env.store.containers.update(record.id, lambda old: dataclasses.replace(old, resources=after))
    return pb.UpdateContainerResourcesResponse()


def sandbox(
    env: Environment, request: pb.UpdatePodSandboxResourcesRequest, context: grpc.ServicerContext
) -> pb.UpdatePodSandboxResourcesResponse:
    """Note a Pod's new limits, and write them where the Pod's cgroup is ours rather than the kubelet's."""
    record = env.store.sandboxes.get(request.pod_sandbox_id)
    if cgroups.is_own(record.config):
        own = group.Group(env.hierarchies, record.cgroup)
        own.create()
        try:
            own.limit(spec.to_wire(build.resources(request.resources)))
        except OSError as err:
            raise of_limits(err) from err
    config = pb.PodSandboxConfig()
    config.CopyFrom(record.config)
    config.linux.resources.CopyFrom(request.resources)
    config.linux.overhead.CopyFrom(request.overhead)
    with env.store.sandboxes.lock(record.id):
        current = env.store.sandboxes.get(record.id)
        env.store.sandboxes.replace_config(dataclasses.replace(current, config=config))
    return pb.UpdatePodSandboxResourcesResponse()


def complete(
    asked: pb.LinuxContainerResources, current: pb.LinuxContainerResources
) -> pb.LinuxContainerResources:
    """Return what is asked with what it is written together with: cpu.max has quota and period. Pure.

    memory_swap_limit is memory and swap: without the first, cgroup v2's swap limit cannot be told.
    """
    whole = pb.LinuxContainerResources()
    whole.CopyFrom(asked)
    if asked.cpu_quota or asked.cpu_period:
        whole.cpu_quota = asked.cpu_quota or current.cpu_quota
        whole.cpu_period = asked.cpu_period or current.cpu_period
    if asked.memory_swap_limit_in_bytes:
        whole.memory_limit_in_bytes = asked.memory_limit_in_bytes or current.memory_limit_in_bytes
    return whole


def merged(
    asked: pb.LinuxContainerResources, current: pb.LinuxContainerResources
) -> pb.LinuxContainerResources:
    """Return the limits after an update. Pure. The OOM score is of the start: it stays."""
    pages = {entry.page_size: entry.limit for entry in (*current.hugepage_limits, *asked.hugepage_limits)}
    both = pb.LinuxContainerResources()
    both.CopyFrom(current)
    both.MergeFrom(asked)
    both.oom_score_adj = current.oom_score_adj
    del both.hugepage_limits[:]
    both.hugepage_limits.extend(
        pb.HugepageLimit(page_size=size, limit=limit) for size, limit in pages.items()
    )
    return both
