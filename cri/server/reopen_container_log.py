"""RPC ReopenContainerLog."""

import grpc

from cri.api import runtime_pb2 as pb
from cri.server import running
from cri.server.environment import Environment


def handle(
    env: Environment, request: pb.ReopenContainerLogRequest, context: grpc.ServicerContext
) -> pb.ReopenContainerLogResponse:
    """Open a log file anew after a rotation renamed it. Raises RuntimeFault."""
    env.client.reopen_log(running.get(env, request.container_id).id)
    return pb.ReopenContainerLogResponse()
