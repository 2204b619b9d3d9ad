"""RPC ContainerStatus."""

from typing import Any

import grpc

from cri.api import runtime_pb2 as pb
from cri.runtime.faults import RuntimeFault
from cri.server import present, runtime_spec
from cri.server.environment import Environment


def handle(
    env: Environment, request: pb.ContainerStatusRequest, context: grpc.ServicerContext
) -> pb.ContainerStatusResponse:
    """Show one container. Raises RuntimeFault NOT_FOUND."""
    record = env.store.containers.get(request.container_id)
    return pb.ContainerStatusResponse(
        status=present.container_status(record),
        info=_info(env, record.id) if request.verbose else {},
    )


def _info(env: Environment, identity: str) -> dict[str, str]:
    record = env.store.containers.get(identity)
    pid, extra = None, dict[str, Any]()
    try:
        state = env.client.state(identity)
        pid, extra = state.pid, {"phase": state.phase}
        extra["runtimeSpec"] = _runtime_spec(env, identity)
    except RuntimeFault as err:
        extra = {"supervisor": str(err)}
    return present.container_info(record, pid, extra)


def _runtime_spec(env: Environment, identity: str) -> dict[str, Any]:
    try:
        return runtime_spec.of_container(env.client.spec(identity))
    except KeyError:  # made before an upgrade, with other fields
        return {}
