"""RPC StopContainer."""

import logging

import grpc

from cri import failpoint
from cri.api import runtime_pb2 as pb
from cri.runtime.faults import NOT_FOUND, RuntimeFault
from cri.server import observe
from cri.server.environment import Environment
from cri.store import records

log = logging.getLogger(__name__)


def handle(
    env: Environment, request: pb.StopContainerRequest, context: grpc.ServicerContext
) -> pb.StopContainerResponse:
    """Ask a container to end and kill it after the timeout (seconds); an unknown or ended one is fine."""
    record = env.store.containers.find(request.container_id)
    if record is not None:
        stop(env, record, max(0, request.timeout))
    return pb.StopContainerResponse()


def stop(env: Environment, record: records.Container, timeout_s: float) -> None:
    """Bring a container to EXITED; one that was created and never started is ended too.

    Takes no lock: a second call with a shorter timeout must be able to overtake the first.
    """
    if record.state is records.ContainerState.EXITED:
        return
    failpoint.hit("stop.begun")
    try:
        state = env.client.stop(record.id, timeout_s)
    except RuntimeFault as err:
        if err.kind != NOT_FOUND:
            raise
        observe.lose(env, record.id)
        return
    failpoint.hit("stop.done")
    observe.apply(env, state)
    failpoint.hit("stop.noted")
    log.info("container stopped id=%s", record.id)
