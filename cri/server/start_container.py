"""RPC StartContainer."""

import logging
import time

import grpc

from cri import failpoint, faults
from cri.api import runtime_pb2 as pb
from cri.runtime.client import State
from cri.runtime.faults import FAILED_PRECONDITION, UNAVAILABLE, RuntimeFault
from cri.server import notify, observe
from cri.server.environment import Environment
from cri.store import records

log = logging.getLogger(__name__)

_PATIENCE_S, _RETRY_S = 5.0, 0.02  # until a new supervisor knows what became of a start
# As runc's and containerd's: the process never became the container.
_START_ERROR_CODE, _START_ERROR = 128, "StartError"


def handle(
    env: Environment, request: pb.StartContainerRequest, context: grpc.ServicerContext
) -> pb.StartContainerResponse:
    """Let a created container run; return when its program has replaced the waiting process.

    Raises RuntimeFault NOT_FOUND, FAILED_PRECONDITION; what fails at the start leaves the container EXITED.
    """
    record = env.store.containers.get(request.container_id)
    with env.store.containers.lock(record.id):
        _check(env, env.store.containers.get(record.id))
        failpoint.hit("start.checked")
        try:
            state = _start(env, record.id)
        except RuntimeFault as err:
            if err.kind not in (FAILED_PRECONDITION, UNAVAILABLE):
                _give_up(env, record.id, str(err))
            raise
        failpoint.hit("start.done")
        after = env.store.containers.update(
            record.id, lambda old: running(old, state.started_at or env.now())
        )
    failpoint.hit("start.noted")
    observe.apply(env, state)  # it may have ended while a new supervisor came
    log.info("container started id=%s", record.id)
    notify.container(env, after, notify.STARTED)
    return pb.StartContainerResponse()


def _start(env: Environment, identity: str) -> State:
    """Ask the supervisor, and the next one if that is killed; the program starts once."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return env.client.start(identity)
        except RuntimeFault as err:
            if err.kind != UNAVAILABLE or time.monotonic() > deadline:
                raise
        state = env.client.state(identity)
        if state.phase != "created":
            return state
        time.sleep(_RETRY_S)


def running(record: records.Container, now: int) -> records.Container:
    """Note the start, unless the exit was noted first. Pure."""
    return records.started(record, now) if record.state is records.ContainerState.CREATED else record


def _check(env: Environment, record: records.Container) -> None:
    if record.state is not records.ContainerState.CREATED:
        raise faults.precondition(
            f"cannot start container {record.id!r}: it is {record.state.value}, not created"
        )
    if env.store.sandboxes.get(record.sandbox_id).state is not records.SandboxState.READY:
        raise faults.precondition(f"cannot start container {record.id!r}: its sandbox is not ready")


def _give_up(env: Environment, identity: str, cause: str) -> None:
    after = env.store.containers.update(
        identity,
        lambda old: records.exited(
            old, code=_START_ERROR_CODE, now=env.now(), reason=_START_ERROR, message=cause
        ),
    )
    notify.container(env, after, notify.STOPPED)
