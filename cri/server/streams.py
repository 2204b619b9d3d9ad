"""RPCs Exec, Attach and PortForward: each answers with a URL of the streaming server."""

import grpc

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.server import running
from cri.server.environment import Environment
from cri.store import records


def execute(env: Environment, request: pb.ExecRequest, context: grpc.ServicerContext) -> pb.ExecResponse:
    """Return where to stream a new process. Raises RuntimeFault, InvalidRequest, TooManyRequests."""
    full = pb.ExecRequest()
    full.CopyFrom(request)
    full.container_id = running.get(env, request.container_id).id
    return pb.ExecResponse(url=env.streaming.exec_url(full))


def attach(env: Environment, request: pb.AttachRequest, context: grpc.ServicerContext) -> pb.AttachResponse:
    """Return where to stream a container's own input and output. Raises as execute()."""
    full = pb.AttachRequest()
    full.CopyFrom(request)
    full.container_id = running.get(env, request.container_id).id
    return pb.AttachResponse(url=env.streaming.attach_url(full))


def port_forward(
    env: Environment, request: pb.PortForwardRequest, context: grpc.ServicerContext
) -> pb.PortForwardResponse:
    """Return where to stream connections into a sandbox. Raises as execute()."""
    record = env.store.sandboxes.get(request.pod_sandbox_id)
    if record.state is not records.SandboxState.READY:
        raise faults.precondition(f"cannot forward to sandbox {record.id!r}: not ready")
    full = pb.PortForwardRequest()
    full.CopyFrom(request)
    full.pod_sandbox_id = record.id
    return pb.PortForwardResponse(url=env.streaming.port_forward_url(full))
