"""The table of RPCs, and what wraps each: error mapping and a timing line.

Adding an RPC adds a file and a line here. What is not in the table answers UNIMPLEMENTED.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import grpc

from cri.api import runtime_pb2_grpc
from cri.rpc.server import Server
from cri.server import (
    checkpoint_container,
    container_events,
    container_stats,
    container_status,
    create_container,
    errors,
    exec_sync,
    image_fs_info,
    image_status,
    list_containers,
    list_images,
    list_pod_sandbox,
    metrics,
    pod_sandbox_stats,
    pod_sandbox_status,
    pull_image,
    remove_container,
    remove_image,
    remove_pod_sandbox,
    reopen_container_log,
    run_pod_sandbox,
    runtime_config,
    start_container,
    status,
    stop_container,
    stop_pod_sandbox,
    streams,
    update_resources,
    version,
)
from cri.server.environment import Environment

log = logging.getLogger(__name__)

Handler = Callable[[Environment, Any, grpc.ServicerContext], Any]
StreamHandler = Callable[[Environment, Any, grpc.ServicerContext], Iterable[Any]]

RUNTIME: Mapping[str, Handler] = {
    "Version": version.handle,
    "Status": status.handle,
    "RuntimeConfig": runtime_config.handle,
    "UpdateRuntimeConfig": runtime_config.update,
    "RunPodSandbox": run_pod_sandbox.handle,
    "StopPodSandbox": stop_pod_sandbox.handle,
    "RemovePodSandbox": remove_pod_sandbox.handle,
    "PodSandboxStatus": pod_sandbox_status.handle,
    "ListPodSandbox": list_pod_sandbox.handle,
    "CreateContainer": create_container.handle,
    "StartContainer": start_container.handle,
    "StopContainer": stop_container.handle,
    "RemoveContainer": remove_container.handle,
    "ContainerStatus": container_status.handle,
    "ListContainers": list_containers.handle,
    "UpdateContainerResources": update_resources.container,
    "UpdatePodSandboxResources": update_resources.sandbox,
    "CheckpointContainer": checkpoint_container.handle,
    "ReopenContainerLog": reopen_container_log.handle,
    "ExecSync": exec_sync.handle,
    "Exec": streams.execute,
    "Attach": streams.attach,
    "PortForward": streams.port_forward,
    "ContainerStats": container_stats.handle,
    "ListContainerStats": container_stats.list_all,
    "PodSandboxStats": pod_sandbox_stats.handle,
    "ListPodSandboxStats": pod_sandbox_stats.list_all,
    "ListMetricDescriptors": metrics.descriptors,
    "ListPodSandboxMetrics": metrics.list_all,
}
RUNTIME_STREAMS: Mapping[str, StreamHandler] = {
    "StreamPodSandboxes": list_pod_sandbox.stream,
    "StreamContainers": list_containers.stream,
    "StreamContainerStats": container_stats.stream,
    "StreamPodSandboxStats": pod_sandbox_stats.stream,
    "StreamPodSandboxMetrics": metrics.stream,
    "GetContainerEvents": container_events.stream,
}
IMAGE: Mapping[str, Handler] = {
    "ListImages": list_images.handle,
    "ImageStatus": image_status.handle,
    "PullImage": pull_image.handle,
    "RemoveImage": remove_image.handle,
    "ImageFsInfo": image_fs_info.handle,
}
IMAGE_STREAMS: Mapping[str, StreamHandler] = {"StreamImages": list_images.stream}

# What waits for a container, a client, a registry or a network plugin: paths of methods.
LENGTHY = frozenset(
    [
        "/runtime.v1.ImageService/PullImage",
        "/runtime.v1.RuntimeService/ExecSync",
        "/runtime.v1.RuntimeService/GetContainerEvents",
        "/runtime.v1.RuntimeService/RemovePodSandbox",
        "/runtime.v1.RuntimeService/RunPodSandbox",
        "/runtime.v1.RuntimeService/StopContainer",
        "/runtime.v1.RuntimeService/StopPodSandbox",
    ]
)


def register(server: Server, env: Environment) -> None:
    """Add both services to a gRPC server that is not started yet."""
    runtime = runtime_pb2_grpc.RuntimeServiceServicer()
    image = runtime_pb2_grpc.ImageServiceServicer()
    for servicer, unary, streaming in ((runtime, RUNTIME, RUNTIME_STREAMS), (image, IMAGE, IMAGE_STREAMS)):
        for name, handler in unary.items():
            setattr(servicer, name, _unary(env, name, handler))
        for name, stream in streaming.items():
            setattr(servicer, name, _stream(env, name, stream))
    runtime_pb2_grpc.add_RuntimeServiceServicer_to_server(runtime, server)  # type: ignore[no-untyped-call]
    runtime_pb2_grpc.add_ImageServiceServicer_to_server(image, server)  # type: ignore[no-untyped-call]


def _unary(env: Environment, name: str, handler: Handler) -> Callable[[Any, grpc.ServicerContext], Any]:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        begin = time.monotonic()
        try:
            response = handler(env, request, context)
        except Exception as err:  # a task's top: nothing may reach the client but a status
            _fail(name, err, context)
        log.debug("rpc done name=%s ms=%.2f", name, (time.monotonic() - begin) * 1e3)
        return response

    return call


def _stream(
    env: Environment, name: str, handler: StreamHandler
) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        try:
            yield from handler(env, request, context)
        except Exception as err:  # a task's top: nothing may reach the client but a status
            _fail(name, err, context)

    return call


def _fail(name: str, err: Exception, context: grpc.ServicerContext) -> NoReturn:
    """End a call with the status its failure maps to; a bug's traceback goes to the log only."""
    known = errors.status(err)
    if known is None:
        log.exception("rpc failed unexpectedly name=%s", name)
        known = grpc.StatusCode.INTERNAL, f"cannot serve {name}: internal error, see the runtime's log"
    code, details = known
    log.info("rpc failed name=%s code=%s details=%s", name, code.name, details)
    context.abort(code, details)
