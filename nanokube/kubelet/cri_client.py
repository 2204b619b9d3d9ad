"""The CRI client over grpc.aio. An unavailable runtime is retried for seconds: it may be restarting."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio

from cri.api import runtime_pb2 as pb
from cri.api import runtime_pb2_grpc as stubs
from nanokube.kit import addresses
from nanokube.kubelet.containers import labels
from nanokube.kubelet.podview import ContainerView, PodView, Resources, SandboxView, State
from nanokube.kubelet.runtime import FaultKind, RuntimeFault

CALL_S = 120.0  # runtimeRequestTimeout upstream is 2 min
PULL_S = 3600.0
RETRY_S = 5.0  # how long an absent runtime is waited for, per call
MAX_MESSAGE = 16 * 1024 * 1024  # upstream's maxMsgSize

_KINDS = {
    grpc.StatusCode.NOT_FOUND: FaultKind.NOT_FOUND,
    grpc.StatusCode.UNAVAILABLE: FaultKind.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: FaultKind.TIMEOUT,
    grpc.StatusCode.UNIMPLEMENTED: FaultKind.UNIMPLEMENTED,
}
_STATES = {
    pb.CONTAINER_CREATED: State.CREATED,
    pb.CONTAINER_RUNNING: State.RUNNING,
    pb.CONTAINER_EXITED: State.EXITED,
}
_Answer = TypeVar("_Answer")


class CriClient:
    """Implements nanokube.kubelet.runtime.Runtime. Use as an async context manager."""

    def __init__(self, socket: Path, primary: int = 4) -> None:
        """primary: the IP family whose address of a Pod comes first, 4 or 6."""
        self._socket = socket
        self._primary = primary

    async def __aenter__(self) -> "CriClient":
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.default_authority", "localhost"),  # a socket's path is no valid authority
        ]
        self._channel = grpc.aio.insecure_channel(f"unix://{self._socket}", options=options)
        self._runtime: Any = stubs.RuntimeServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._images: Any = stubs.ImageServiceStub(self._channel)  # type: ignore[no-untyped-call]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close(None)

    async def version(self) -> pb.VersionResponse:
        return await _call(self._runtime.Version, pb.VersionRequest(version="v1"))

    async def status(self) -> pb.StatusResponse:
        return await _call(self._runtime.Status, pb.StatusRequest())

    async def set_pod_cidr(self, cidr: str) -> None:
        config = pb.RuntimeConfig(network_config=pb.NetworkConfig(pod_cidr=cidr))
        await _call(self._runtime.UpdateRuntimeConfig, pb.UpdateRuntimeConfigRequest(runtime_config=config))

    async def pods(self) -> dict[str, PodView]:
        sandboxes, containers = await asyncio.gather(
            _call(self._runtime.ListPodSandbox, pb.ListPodSandboxRequest()),
            _call(self._runtime.ListContainers, pb.ListContainersRequest()),
        )
        names: dict[str, tuple[str, str]] = {}
        boxes: dict[str, list[SandboxView]] = defaultdict(list)
        members: dict[str, list[ContainerView]] = defaultdict(list)
        for item in sandboxes.items:
            names[item.metadata.uid] = item.metadata.name, item.metadata.namespace
            boxes[item.metadata.uid].append(_listed_sandbox(item))
        for item in containers.containers:
            if uid := item.labels.get(labels.POD_UID):
                names.setdefault(uid, (item.labels[labels.POD_NAME], item.labels[labels.POD_NAMESPACE]))
                members[uid].append(_listed_container(item))
        return {
            uid: PodView(uid, name, namespace, _newest(boxes[uid]), _newest(members[uid]))
            for uid, (name, namespace) in names.items()
        }

    async def pod(self, uid: str) -> PodView:
        selector = {labels.POD_UID: uid}
        sandboxes, containers = await asyncio.gather(
            _call(
                self._runtime.ListPodSandbox,
                pb.ListPodSandboxRequest(filter=pb.PodSandboxFilter(label_selector=selector)),
            ),
            _call(
                self._runtime.ListContainers,
                pb.ListContainersRequest(filter=pb.ContainerFilter(label_selector=selector)),
            ),
        )
        boxes = await asyncio.gather(*(self._sandbox(item) for item in sandboxes.items))
        members = await asyncio.gather(*(self._container(item) for item in containers.containers))
        name = namespace = ""
        for item in sandboxes.items:
            name, namespace = item.metadata.name, item.metadata.namespace
        return PodView(
            uid, name, namespace, _newest([b for b in boxes if b]), _newest([m for m in members if m])
        )

    async def _sandbox(self, item: pb.PodSandbox) -> SandboxView | None:
        request = pb.PodSandboxStatusRequest(pod_sandbox_id=item.id)
        try:
            answer = await _call(self._runtime.PodSandboxStatus, request)
        except RuntimeFault as fault:
            if fault.kind is FaultKind.NOT_FOUND:
                return None
            raise
        return sandbox_view(answer.status, self._primary)

    async def _container(self, item: pb.Container) -> ContainerView | None:
        request = pb.ContainerStatusRequest(container_id=item.id)
        try:
            answer = await _call(self._runtime.ContainerStatus, request)
        except RuntimeFault as fault:
            if fault.kind is FaultKind.NOT_FOUND:
                return None
            raise
        return container_view(answer.status, item.pod_sandbox_id)

    async def run_sandbox(self, config: pb.PodSandboxConfig, handler: str = "") -> str:
        request = pb.RunPodSandboxRequest(config=config, runtime_handler=handler)
        answer = await _call(self._runtime.RunPodSandbox, request, timeout_s=2 * CALL_S)
        return str(answer.pod_sandbox_id)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await _gone(self._runtime.StopPodSandbox, pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await _gone(self._runtime.RemovePodSandbox, pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))

    async def create_container(
        self, sandbox_id: str, config: pb.ContainerConfig, sandbox: pb.PodSandboxConfig
    ) -> str:
        request = pb.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox)
        return str((await _call(self._runtime.CreateContainer, request)).container_id)

    async def start_container(self, container_id: str) -> None:
        await _call(self._runtime.StartContainer, pb.StartContainerRequest(container_id=container_id))

    async def stop_container(self, container_id: str, timeout_s: float) -> None:
        request = pb.StopContainerRequest(container_id=container_id, timeout=max(0, int(timeout_s)))
        await _gone(self._runtime.StopContainer, request, timeout_s=timeout_s + CALL_S)

    async def remove_container(self, container_id: str) -> None:
        await _gone(self._runtime.RemoveContainer, pb.RemoveContainerRequest(container_id=container_id))

    async def update_resources(self, container_id: str, resources: pb.LinuxContainerResources) -> None:
        request = pb.UpdateContainerResourcesRequest(container_id=container_id, linux=resources)
        await _call(self._runtime.UpdateContainerResources, request)

    async def update_sandbox(self, sandbox_id: str, resources: pb.LinuxContainerResources) -> None:
        request = pb.UpdatePodSandboxResourcesRequest(pod_sandbox_id=sandbox_id, resources=resources)
        await _call(self._runtime.UpdatePodSandboxResources, request)

    async def reopen_log(self, container_id: str) -> None:
        await _call(self._runtime.ReopenContainerLog, pb.ReopenContainerLogRequest(container_id=container_id))

    async def exec_sync(
        self, container_id: str, command: list[str], timeout_s: float = 0
    ) -> pb.ExecSyncResponse:
        request = pb.ExecSyncRequest(container_id=container_id, cmd=command, timeout=int(timeout_s))
        # The runtime's own timeout fires first; ours is for a runtime that hangs.
        limit = timeout_s + 5 if timeout_s else PULL_S
        return await _call(self._runtime.ExecSync, request, timeout_s=limit)

    async def exec_url(self, request: pb.ExecRequest) -> str:
        return str((await _call(self._runtime.Exec, request)).url)

    async def attach_url(self, request: pb.AttachRequest) -> str:
        return str((await _call(self._runtime.Attach, request)).url)

    async def port_forward_url(self, request: pb.PortForwardRequest) -> str:
        return str((await _call(self._runtime.PortForward, request)).url)

    async def image_status(self, reference: str) -> pb.Image | None:
        request = pb.ImageStatusRequest(image=pb.ImageSpec(image=reference))
        answer = await _call(self._images.ImageStatus, request)
        return answer.image if answer.HasField("image") and answer.image.id else None

    async def pull_image(
        self, reference: str, auth: pb.AuthConfig | None, sandbox: pb.PodSandboxConfig | None
    ) -> str:
        spec = pb.ImageSpec(image=reference, user_specified_image=reference)
        request = pb.PullImageRequest(image=spec, auth=auth, sandbox_config=sandbox)
        return str((await _call(self._images.PullImage, request, timeout_s=PULL_S)).image_ref)

    async def images(self) -> list[pb.Image]:
        return list((await _call(self._images.ListImages, pb.ListImagesRequest())).images)

    async def remove_image(self, reference: str) -> None:
        await _gone(self._images.RemoveImage, pb.RemoveImageRequest(image=pb.ImageSpec(image=reference)))

    async def image_fs_info(self) -> pb.ImageFsInfoResponse:
        return await _call(self._images.ImageFsInfo, pb.ImageFsInfoRequest())

    async def pod_stats(self) -> list[pb.PodSandboxStats]:
        return list((await _call(self._runtime.ListPodSandboxStats, pb.ListPodSandboxStatsRequest())).stats)

    async def container_stats(self) -> list[pb.ContainerStats]:
        return list((await _call(self._runtime.ListContainerStats, pb.ListContainerStatsRequest())).stats)

    async def events(self) -> AsyncIterator[str]:
        try:
            async for event in self._runtime.GetContainerEvents(pb.GetEventsRequest()):
                if uid := event.pod_sandbox_status.metadata.uid:
                    yield uid
                    continue
                for status in event.containers_statuses:
                    if uid := status.labels.get(labels.POD_UID, ""):
                        yield uid
                        break
        except grpc.aio.AioRpcError as error:
            raise _fault(error) from error


async def _call(
    method: Callable[..., Awaitable[_Answer]], request: Any, *, timeout_s: float = CALL_S
) -> _Answer:
    """Make one call; UNAVAILABLE (nothing was delivered) is retried until RETRY_S have passed."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + RETRY_S
    pause_s = 0.05
    while True:
        try:
            return await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or loop.time() + pause_s > give_up:
                raise _fault(error) from error
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.25)


async def _gone(method: Callable[..., Awaitable[Any]], request: Any, *, timeout_s: float = CALL_S) -> None:
    """Make a call whose aim is met when the thing does not exist."""
    try:
        await _call(method, request, timeout_s=timeout_s)
    except RuntimeFault as fault:
        if fault.kind is not FaultKind.NOT_FOUND:
            raise


def _fault(error: grpc.aio.AioRpcError) -> RuntimeFault:
    code = error.code()
    text = error.details() or code.name
    return RuntimeFault(
        _KINDS.get(code, FaultKind.OTHER), f"rpc error: code = {_go_name(code)} desc = {text}"
    )


def _go_name(code: grpc.StatusCode) -> str:
    """Spell a code as Kubernetes' messages do: DeadlineExceeded."""
    return "".join(part.capitalize() for part in code.name.split("_"))


def _newest(items: list[Any]) -> tuple[Any, ...]:
    return tuple(sorted(items, key=lambda item: item.created_at, reverse=True))


def _listed_sandbox(item: pb.PodSandbox) -> SandboxView:
    return SandboxView(item.id, item.metadata.attempt, item.state == pb.SANDBOX_READY, item.created_at)


def _listed_container(item: pb.Container) -> ContainerView:
    return ContainerView(
        id=item.id,
        name=item.metadata.name,
        sandbox_id=item.pod_sandbox_id,
        state=_STATES.get(item.state, State.UNKNOWN),
        created_at=item.created_at,
        labels=dict(item.labels),
        annotations=dict(item.annotations),
    )


def _ordered(ips: Sequence[str], primary: int) -> tuple[str, ...]:
    """Return the first address of each family, the primary's before the other's.

    Source: pkg/kubelet/kubelet_pods.go sortPodIPs.
    """
    found = [addresses.first_of(ips, primary), addresses.first_of(ips, 10 - primary)]
    return tuple(each for each in found if each)


def sandbox_view(status: pb.PodSandboxStatus, primary: int = 4) -> SandboxView:
    """Read a CRI sandbox status. primary: the IP family whose address comes first."""
    network = status.network
    ips = [network.ip] if network.ip else []
    ips.extend(extra.ip for extra in network.additional_ips)
    return SandboxView(
        id=status.id,
        attempt=status.metadata.attempt,
        is_ready=status.state == pb.SANDBOX_READY,
        created_at=status.created_at,
        is_host_network=status.linux.namespaces.options.network == pb.NODE,
        ips=_ordered(ips, primary) if len(ips) > 1 else tuple(ips),
    )


def container_view(status: pb.ContainerStatus, sandbox_id: str) -> ContainerView:
    """Read a CRI container status."""
    linux = status.resources.linux if status.HasField("resources") else pb.LinuxContainerResources()
    user = status.user.linux if status.HasField("user") and status.user.HasField("linux") else None
    return ContainerView(
        id=status.id,
        name=status.metadata.name,
        sandbox_id=sandbox_id,
        state=_STATES.get(status.state, State.UNKNOWN),
        created_at=status.created_at,
        started_at=status.started_at,
        finished_at=status.finished_at,
        exit_code=status.exit_code,
        reason=status.reason,
        message=status.message,
        image=status.image.user_specified_image or status.image.image,
        image_ref=status.image_ref,
        log_path=status.log_path,
        labels=dict(status.labels),
        annotations=dict(status.annotations),
        resources=Resources(
            cpu_shares=linux.cpu_shares or None,
            cpu_quota=linux.cpu_quota or None,
            cpu_period=linux.cpu_period or None,
            memory_bytes=linux.memory_limit_in_bytes or None,
        ),
        user=(user.uid, user.gid, tuple(user.supplemental_groups)) if user else None,
    )
