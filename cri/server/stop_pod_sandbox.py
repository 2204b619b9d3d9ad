"""RPC StopPodSandbox."""

import contextlib
import dataclasses
import logging
import signal

import grpc

from cri import failpoint
from cri.api import runtime_pb2 as pb
from cri.runtime.faults import RuntimeFault
from cri.server import notify, stop_container, teardown
from cri.server.environment import Environment
from cri.store import records

log = logging.getLogger(__name__)


def handle(
    env: Environment, request: pb.StopPodSandboxRequest, context: grpc.ServicerContext
) -> pb.StopPodSandboxResponse:
    """Kill the sandbox's containers and take it off the network; an unknown or stopped one is fine."""
    record = env.store.sandboxes.find(request.pod_sandbox_id)
    if record is not None:
        stop(env, record.id)
    return pb.StopPodSandboxResponse()


def stop(env: Environment, identity: str) -> None:
    """Bring a sandbox to NOTREADY. Raises plugin.PluginError, RuntimeFault; may be repeated."""
    with env.store.sandboxes.lock(identity):
        record = env.store.sandboxes.find(identity)
        if record is None:
            return
        failpoint.hit("stop_sandbox.begun")
        members = env.store.containers_of(identity)
        _kill(env, members)
        for member in members:
            stop_container.stop(env, member, 0)
        failpoint.hit("stop_sandbox.containers_ended")
        env.client.remove(identity)  # the holder of a shared PID namespace, if there is one
        failpoint.hit("stop_sandbox.holder_gone")
        record = teardown.network(env, record)
        failpoint.hit("stop_sandbox.network_down")
        if record.state is records.SandboxState.NOTREADY:
            return
        record = env.store.sandboxes.update(
            identity, lambda old: dataclasses.replace(old, state=records.SandboxState.NOTREADY)
        )
    failpoint.hit("stop_sandbox.noted")
    log.info("sandbox stopped id=%s", identity)
    notify.sandbox(env, record, notify.STOPPED)


def _kill(env: Environment, members: list[records.Container]) -> None:
    """Let several containers die at the same time, before each is waited for."""
    running = [member for member in members if member.state is records.ContainerState.RUNNING]
    for member in running if len(running) > 1 else ():
        with contextlib.suppress(RuntimeFault):  # stopping it tells
            env.client.kill(member.id, signal.SIGKILL)
