"""RPCs UpdateContainerResources and UpdatePodSandboxResources."""

import dataclasses

import grpc

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.bundle import spec
from cri.cgroup import group
from cri.runtime.faults import of_limits
from cri.server import cgroups
from cri.server.environment import Environment
from cri.store import records


def container(
    env: Environment, request: pb.UpdateContainerResourcesRequest, context: grpc.ServicerContext
) -> pb.UpdateContainerResourcesResponse:
    """Change a live container's limits; fields that are zero stay. Raises RuntimeFault."""
    record = env.store.containers.get(request.container_id)
    with env.store.containers.lock(record.id):
        record = env.store.containers.get(record.id)
        if record.state is records.ContainerState.EXITED:
            raise faults.precondition(f"cannot update container {record.id!r}: it is exited")
        env.client.update_resources(record.id, limits(request.linux))
        merged = pb.LinuxContainerResources()
        merged.CopyFrom(record.resources or record.config.linux.resources)
        merged.MergeFrom(request.linux)
        env.store.containers.update(record.id, lambda old: dataclasses.replace(old, resources=merged))
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
            own.limit(spec.to_wire(limits(request.resources)))
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


def limits(resources: pb.LinuxContainerResources) -> spec.Resources:
    """Return CRI's resources as the runtime core takes them. Pure."""
    return spec.Resources(
        cpu_shares=resources.cpu_shares,
        cpu_quota=resources.cpu_quota,
        cpu_period=resources.cpu_period,
        memory_limit=resources.memory_limit_in_bytes,
        memory_swap_limit=resources.memory_swap_limit_in_bytes,
        cpuset_cpus=resources.cpuset_cpus,
        cpuset_mems=resources.cpuset_mems,
        unified=tuple(sorted(resources.unified.items())),
    )
