"""RPC PodSandboxStatus."""

import grpc

from cri.api import runtime_pb2 as pb
from cri.server import present
from cri.server.environment import Environment


def handle(
    env: Environment, request: pb.PodSandboxStatusRequest, context: grpc.ServicerContext
) -> pb.PodSandboxStatusResponse:
    """Show one sandbox with its containers. Raises RuntimeFault NOT_FOUND."""
    timestamp = env.now()  # before the reading: what is shown may be newer than it says, never older
    record = env.store.sandboxes.get(request.pod_sandbox_id)
    members = env.store.containers_of(record.id)
    return pb.PodSandboxStatusResponse(
        status=present.sandbox_status(record),
        info=present.sandbox_info(record) if request.verbose else {},
        containers_statuses=[present.container_status(member) for member in members],
        timestamp=timestamp,
    )
