"""What the kubelet asks of a container runtime: CRI v1 as awaitable calls. CriClient is the real one.

Requests and views stay protobuf where the kubelet only builds or forwards them.
"""

import enum
from collections.abc import AsyncIterator
from typing import Protocol

from cri.api import runtime_pb2 as pb
from nanokube.kubelet.podview import PodView


class FaultKind(enum.Enum):
    """What a caller can act on."""

    NOT_FOUND = "not found"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    UNIMPLEMENTED = "unimplemented"
    OTHER = "other"


class RuntimeFault(Exception):
    """The runtime refused or did not answer."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Runtime(Protocol):
    """Every call raises RuntimeFault. Calls about a thing that is gone succeed where that is the aim."""

    async def version(self) -> pb.VersionResponse: ...

    async def status(self) -> pb.StatusResponse: ...

    async def set_pod_cidr(self, cidr: str) -> None: ...

    async def pods(self) -> dict[str, PodView]:
        """Return every Pod of ours that has a sandbox or container, by UID (without exit details)."""
        ...

    async def pod(self, uid: str) -> PodView:
        """Return one Pod in full detail; empty when the runtime has nothing of it."""
        ...

    async def run_sandbox(self, config: pb.PodSandboxConfig, handler: str = "") -> str: ...

    async def stop_sandbox(self, sandbox_id: str) -> None: ...

    async def remove_sandbox(self, sandbox_id: str) -> None: ...

    async def create_container(
        self, sandbox_id: str, config: pb.ContainerConfig, sandbox: pb.PodSandboxConfig
    ) -> str: ...

    async def start_container(self, container_id: str) -> None: ...

    async def stop_container(self, container_id: str, timeout_s: float) -> None: ...

    async def remove_container(self, container_id: str) -> None: ...

    async def update_sandbox(self, sandbox_id: str, resources: pb.LinuxContainerResources) -> None: ...

    async def update_resources(self, container_id: str, resources: pb.LinuxContainerResources) -> None: ...

    async def reopen_log(self, container_id: str) -> None: ...

    async def exec_sync(
        self, container_id: str, command: list[str], timeout_s: float = 0
    ) -> pb.ExecSyncResponse: ...

    async def exec_url(self, request: pb.ExecRequest) -> str: ...

    async def attach_url(self, request: pb.AttachRequest) -> str: ...

    async def port_forward_url(self, request: pb.PortForwardRequest) -> str: ...

    async def image_status(self, reference: str) -> pb.Image | None: ...

    async def pull_image(
        self, reference: str, auth: pb.AuthConfig | None, sandbox: pb.PodSandboxConfig | None
    ) -> str: ...

    async def images(self) -> list[pb.Image]: ...

    async def remove_image(self, reference: str) -> None: ...

    async def image_fs_info(self) -> pb.ImageFsInfoResponse: ...

    async def pod_stats(self) -> list[pb.PodSandboxStats]: ...

    async def container_stats(self) -> list[pb.ContainerStats]: ...

    def events(self) -> AsyncIterator[str]:
        """Yield the UID of each Pod something happened to; ends or raises when the stream breaks."""
        ...
