"""RPC RemoveContainer."""

import logging

import grpc

from cri import failpoint
from cri.api import runtime_pb2 as pb
from cri.server import notify, stop_container, teardown
from cri.server.environment import Environment

log = logging.getLogger(__name__)


def handle(
    env: Environment, request: pb.RemoveContainerRequest, context: grpc.ServicerContext
) -> pb.RemoveContainerResponse:
    """Kill and forget a container; an unknown one is fine."""
    record = env.store.containers.find(request.container_id)
    if record is not None:
        remove(env, record.id)
    return pb.RemoveContainerResponse()


def remove(env: Environment, identity: str) -> None:
    """Remove one container, whatever its state."""
    with env.store.containers.lock(identity):
        record = env.store.containers.find(identity)
        if record is None:
            return
        stop_container.stop(env, record, 0)
        failpoint.hit("remove.stopped")
        teardown.container(env, record)
    failpoint.hit("remove.done")
    log.info("container removed id=%s", identity)
    notify.container(env, record, notify.DELETED)
