"""RPC StopContainer."""

import logging

import grpc

from cri import failpoint
from cri.api import runtime_pb2 as pb
from cri.runtime.faults import NOT_FOUND, RuntimeFault
from cri.server import leaving, limits, observe
from cri.server.environment import Environment
from cri.store import records

log = logging.getLogger(__name__)


def handle(
    env: Environment, request: pb.StopContainerRequest, context: grpc.ServicerContext
) -> pb.StopContainerResponse:
    """Ask a container to end and kill it after the timeout (seconds); an unknown or ended one is fine.

    A client that gives up or leaves frees this thread; the container is killed in its time all the same.
    """
    record = env.store.containers.find(request.container_id)
    if record is not None:
        with leaving.told(context) as left:
            wait_s = limits.patience(context.time_remaining())
            stop(env, record, limits.seconds(request.timeout), wait_s, left)
    return pb.StopContainerResponse()


def stop(
    env: Environment,
    record: records.Container,
    timeout_s: float,
    wait_s: float | None = None,
    given_up: int = -1,
) -> None:
    """Bring a container to EXITED; one that was created and never started is ended too.

    Takes no lock: a second call with a shorter timeout must be able to overtake the first.
    Raises RuntimeFault DEADLINE_EXCEEDED after wait_s, None = never, or when the descriptor given_up becomes
    readable.
    """
    if record.state is records.ContainerState.EXITED:
        return
    failpoint.hit("stop.begun")
    try:
        state = env.client.stop(record.id, timeout_s, wait_s, given_up)
    except RuntimeFault as err:
        if err.kind != NOT_FOUND:
            raise
        observe.lose(env, record.id)
        return
    failpoint.hit("stop.done")
    observe.apply(env, state)
    failpoint.hit("stop.noted")
    log.info("container stopped id=%s", record.id)
