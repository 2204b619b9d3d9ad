"""RPC RemovePodSandbox."""

import logging

import grpc

from cri import failpoint
from cri.api import runtime_pb2 as pb
from cri.server import notify, remove_container, stop_pod_sandbox, teardown
from cri.server.environment import Environment

log = logging.getLogger(__name__)


def handle(
    env: Environment, request: pb.RemovePodSandboxRequest, context: grpc.ServicerContext
) -> pb.RemovePodSandboxResponse:
    """Stop and remove a sandbox and all its containers; an unknown one is fine."""
    record = env.store.sandboxes.find(request.pod_sandbox_id)
    if record is None:
        return pb.RemovePodSandboxResponse()
    with env.store.sandboxes.lock(record.id):
        stop_pod_sandbox.stop(env, record.id)
        failpoint.hit("remove_sandbox.stopped")
        for member in env.store.containers_of(record.id):
            remove_container.remove(env, member.id)
        failpoint.hit("remove_sandbox.containers_gone")
        current = env.store.sandboxes.find(record.id)
        if current is None:
            return pb.RemovePodSandboxResponse()
        teardown.release(env, current)
    failpoint.hit("remove_sandbox.done")
    log.info("sandbox removed id=%s", record.id)
    notify.sandbox(env, current, notify.DELETED)
    return pb.RemovePodSandboxResponse()
