"""RPC CheckpointContainer: said honestly, not done."""

import grpc

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.server.environment import Environment


def handle(
    env: Environment, request: pb.CheckpointContainerRequest, context: grpc.ServicerContext
) -> pb.CheckpointContainerResponse:
    """Refuse. Raises RuntimeFault UNIMPLEMENTED, NOT_FOUND."""
    identity = env.store.containers.get(request.container_id).id
    raise faults.RuntimeFault(
        faults.Kind.UNIMPLEMENTED, f"cannot checkpoint container {identity}: this runtime has no checkpoints"
    )
