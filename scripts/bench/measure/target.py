"""One runtime behind a CRI socket: what is asked of it, and the samples that were taken."""

import contextlib
import os
import select
import threading
import time
from pathlib import Path
from typing import Any

import grpc

from cri.api import runtime_pb2 as pb
from cri.api import runtime_pb2_grpc
from scripts.bench.measure.account import WORKLOAD, Account
from tests.root.cri.server import conftest

TIMEOUT_S = 120
# A PID namespace of its own, as the kubelet asks for at sandbox and container unless a Pod shares one.
_NAMESPACES = pb.NamespaceOption(pid=pb.CONTAINER)


class Target:
    """A runtime that is measured.

    parent: cgroup parent to ask for, "" where the runtime's own default lies in the account already.
    samples: by name of the figure, in its unit.
    """

    def __init__(self, name: str, socket: Path, scratch: Path, account: Account, parent: str = "") -> None:
        self.name = name
        self.account = account
        self.samples: dict[str, list[float]] = {}
        self.channel = grpc.insecure_channel(f"unix://{socket}")
        self.runtime: Any = runtime_pb2_grpc.RuntimeServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.image: Any = runtime_pb2_grpc.ImageServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.shared = scratch / "shared"
        self.shared.mkdir()
        self.fifo = self.shared / "fifo"
        os.mkfifo(self.fifo)
        self._ear = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        self._parent = parent
        self._count = 0
        self._lock = threading.Lock()

    def note(self, figure: str, value: float) -> None:
        """Keep one sample."""
        self.samples.setdefault(figure, []).append(value)

    def pod(self) -> pb.PodSandboxConfig:
        """Describe a new Pod."""
        with self._lock:
            self._count += 1
        name = f"p{self._count}"
        metadata = pb.PodSandboxMetadata(name=name, uid=f"u{self._count}", namespace="bench")
        return pb.PodSandboxConfig(
            metadata=metadata,
            linux=pb.LinuxPodSandboxConfig(
                cgroup_parent=self._parent,
                security_context=pb.LinuxSandboxSecurityContext(namespace_options=_NAMESPACES),
            ),
        )

    def call(self, method: str, request: Any, *, figure: str = "") -> Any:
        """Call an RPC of the runtime service; note its milliseconds under a figure."""
        began = time.perf_counter()
        answer = getattr(self.runtime, method)(request, timeout=TIMEOUT_S)
        if figure:
            self.note(figure, (time.perf_counter() - began) * 1e3)
        return answer

    def run(self, pod: pb.PodSandboxConfig, *, figure: str = "") -> str:
        """RunPodSandbox; the sandbox's id."""
        answer = self.call("RunPodSandbox", pb.RunPodSandboxRequest(config=pod), figure=figure)
        return str(answer.pod_sandbox_id)

    def container(
        self, sandbox: str, pod: pb.PodSandboxConfig, name: str, create: str = "", start: str = ""
    ) -> str:
        """Create and start a container that writes one byte to the FIFO, then sleeps; its id."""
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name=name),
            image=pb.ImageSpec(image=conftest.IMAGE),
            command=["sh", "-c", f"printf x > /shared/fifo; exec {' '.join(WORKLOAD)}"],
            linux=pb.LinuxContainerConfig(security_context=_security()),
            mounts=[pb.Mount(container_path="/shared", host_path=str(self.shared))],
        )
        request = pb.CreateContainerRequest(pod_sandbox_id=sandbox, config=config, sandbox_config=pod)
        identity = str(self.call("CreateContainer", request, figure=create).container_id)
        self.call("StartContainer", pb.StartContainerRequest(container_id=identity), figure=start)
        return identity

    def hear(self, count: int = 1) -> float:
        """Wait until so many containers have run their first instruction; the time of the last.

        Raises TimeoutError.
        """
        deadline = time.monotonic() + TIMEOUT_S
        while count > 0:
            if not select.select([self._ear], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise TimeoutError(f"cannot hear from {count} containers of {self.name}")
            count -= len(os.read(self._ear, count))
        return time.perf_counter()

    def remove(self, sandbox: str) -> None:
        """Stop and remove a sandbox."""
        self.call("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=sandbox))
        self.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox))

    def sandboxes(self) -> list[str]:
        """Ids of all sandboxes there are."""
        return [item.id for item in self.call("ListPodSandbox", pb.ListPodSandboxRequest()).items]

    def remove_all(self) -> None:
        """Stop and remove every sandbox there is, those that resist aside."""
        for sandbox in self.sandboxes():
            with contextlib.suppress(grpc.RpcError):
                self.remove(sandbox)

    def close(self) -> None:
        """Let go of channel and FIFO."""
        self.channel.close()
        os.close(self._ear)


def _security() -> pb.LinuxContainerSecurityContext:
    """Seccomp by default."""
    return pb.LinuxContainerSecurityContext(
        namespace_options=_NAMESPACES,
        seccomp=pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault),
    )
