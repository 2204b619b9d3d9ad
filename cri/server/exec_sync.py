"""RPC ExecSync."""

import grpc

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.server import limits, running
from cri.server.environment import Environment

# What a container may make the runtime hold. Source: CVE-2022-31030; containerd's limit is the same.
OUTPUT_BYTES_MAX = 16 << 20


def handle(
    env: Environment, request: pb.ExecSyncRequest, context: grpc.ServicerContext
) -> pb.ExecSyncResponse:
    """Run a command to its end; a timeout (seconds, 0 = none) kills it and is DEADLINE_EXCEEDED."""
    if not request.cmd:
        raise faults.invalid("cannot execute: no command")
    record = running.get(env, request.container_id)
    result = env.client.exec_sync(
        record.id, list(request.cmd), limits.seconds(request.timeout), OUTPUT_BYTES_MAX
    )
    return pb.ExecSyncResponse(stdout=result.stdout, stderr=result.stderr, exit_code=result.exit_code)
