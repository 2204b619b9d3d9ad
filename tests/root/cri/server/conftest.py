"""A whole CRI server (keeper, supervisor, log pump, gRPC) in namespaces and directories of its own."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from cri.api import runtime_pb2 as pb
from cri.api import runtime_pb2_grpc, transfer_pb2, transfer_pb2_grpc
from cri.cgroup import group, hierarchy
from cri.runtime.client import RuntimeClient
from cri.runtime.faults import RuntimeFault

SOURCE = Path(__file__).parents[4]
IMAGE = "docker.io/library/busybox:test"
PATIENCE_S = 120  # a software-emulated machine beside others takes a hundred times as long
# A mount namespace whose root is shared, as on a host; its own network and host name.
_ISOLATE = ["unshare", "--mount", "--net", "--uts", "sh", "-c"]
_PREPARE = 'mount --make-rshared / && ip link set lo up && exec "$@"'


@dataclasses.dataclass
class Node:
    """One running server and what a test does with it."""

    directory: Path
    name: str
    keeper: subprocess.Popen[bytes]
    channel: grpc.Channel

    @property
    def runtime(self) -> Any:
        return runtime_pb2_grpc.RuntimeServiceStub(self.channel)  # type: ignore[no-untyped-call]

    @property
    def image(self) -> Any:
        return runtime_pb2_grpc.ImageServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def sandbox(self, name: str, **config: Any) -> tuple[str, pb.PodSandboxConfig]:
        """Run a sandbox with logs below the test's directory."""
        pod = pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(name=name, uid=f"uid-{name}", namespace="default"),
            log_directory=str(self.directory / "logs" / name),
            labels={"pod": name},
            **config,
        )
        request = pb.RunPodSandboxRequest(config=pod)
        return self.runtime.RunPodSandbox(request, timeout=PATIENCE_S).pod_sandbox_id, pod

    def container(self, pod: tuple[str, pb.PodSandboxConfig], name: str, script: str, **config: Any) -> str:
        """Create and start a container that runs a shell script."""
        identity = self.create(pod, name, script, **config)
        self.runtime.StartContainer(pb.StartContainerRequest(container_id=identity), timeout=PATIENCE_S)
        return identity

    def create(self, pod: tuple[str, pb.PodSandboxConfig], name: str, script: str, **config: Any) -> str:
        """Create a container that will run a shell script, in a PID namespace of its own."""
        options = pb.NamespaceOption(pid=pb.CONTAINER)
        security = pb.LinuxContainerSecurityContext(namespace_options=options)
        wanted = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name=name),
            image=pb.ImageSpec(image=IMAGE),
            command=["sh", "-c", script],
            log_path=f"{name}/0.log",
            linux=config.pop("linux", pb.LinuxContainerConfig(security_context=security)),
            **config,
        )
        request = pb.CreateContainerRequest(pod_sandbox_id=pod[0], config=wanted, sandbox_config=pod[1])
        return str(self.runtime.CreateContainer(request, timeout=PATIENCE_S).container_id)

    def execute(self, identity: str, script: str, timeout_s: int = PATIENCE_S) -> pb.ExecSyncResponse:
        """Run a shell script in a container."""
        request = pb.ExecSyncRequest(container_id=identity, cmd=["sh", "-c", script], timeout=timeout_s)
        answer = self.runtime.ExecSync(request, timeout=PATIENCE_S)
        assert isinstance(answer, pb.ExecSyncResponse)
        return answer

    def status(self, identity: str) -> pb.ContainerStatus:
        """Return a container's status."""
        request = pb.ContainerStatusRequest(container_id=identity)
        answer = self.runtime.ContainerStatus(request, timeout=PATIENCE_S)
        assert isinstance(answer, pb.ContainerStatusResponse)
        return answer.status

    def log(self, pod: str, name: str) -> list[str]:
        """Return the lines of a container's log without stamp."""
        path = self.directory / "logs" / pod / name / "0.log"
        return [line.split(" ", 3)[3] for line in path.read_text().splitlines()] if path.exists() else []

    def server_pid(self) -> int:
        """Return the gRPC server's process id: the keeper's child that serves; 0 = none does."""
        children: list[str] = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the keeper was killed
            children = Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children").read_text().split()
        for pid in children:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # reaped since
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"--serve" in line and b"keeper" not in line:
                    return int(pid)
        return 0


def wait_for(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "condition not reached"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("cri")
    name = f"nk-test-{uuid.uuid4().hex[:8]}"
    made = launch(directory, name)
    try:
        load_image(made)
        yield made
    finally:
        clean_up(made)


def launch(directory: Path, name: str) -> Node:
    """Start keeper and server and wait until they answer."""
    config = directory / "cri.json"
    config.write_text(json.dumps(configuration(directory, name)))
    command = [sys.executable, "-m", "cri", "--config", str(config)]
    with (directory / "server.log").open("ab") as log:
        keeper = subprocess.Popen(
            [*_ISOLATE, _PREPARE, "sh", *command],
            cwd=SOURCE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    options = [("grpc.max_receive_message_length", 16 << 20)]  # as a kubelet's
    channel = grpc.insecure_channel(f"unix://{directory}/cri.sock", options)
    made = Node(directory, name, keeper, channel)
    try:
        wait_until_served(made)
    except AssertionError:
        clean_up(made)
        raise
    return made


def wait_until_served(node: Node) -> None:
    """Wait for the first answer; a keeper that ends sooner, or none in time, fails with the log's end."""
    ready = grpc.channel_ready_future(node.channel)
    deadline = time.monotonic() + PATIENCE_S
    while node.keeper.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(grpc.FutureTimeoutError):
            ready.result(timeout=1)
            return
    raise AssertionError((node.directory / "server.log").read_text()[-4000:])


def configuration(directory: Path, name: str) -> dict[str, Any]:
    return {
        "socket": str(directory / "cri.sock"),
        "run_dir": str(directory / "run"),
        "lib_dir": str(directory / "lib"),
        "cgroup_root": name,
        "cni_conf_dir": str(directory / "net.d"),
        "cni_bin_dirs": [str(directory / "bin")],
        "cni_data_dir": str(directory / "cni"),
        "bridge": "nkt0",
        "log_level": "DEBUG",
    }


def load_image(node: Node) -> None:
    """Import a busybox image made of the host's binary, and make the network."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is missing")
    archive = node.directory / "busybox.tar"
    write_image(archive, Path(busybox))
    stub = transfer_pb2_grpc.TransferStub(node.channel)  # type: ignore[no-untyped-call]
    for _ in stub.Import(transfer_pb2.ImportRequest(path=str(archive)), timeout=PATIENCE_S):
        pass
    network = pb.RuntimeConfig(network_config=pb.NetworkConfig(pod_cidr="10.199.0.0/24"))
    node.runtime.UpdateRuntimeConfig(
        pb.UpdateRuntimeConfigRequest(runtime_config=network), timeout=PATIENCE_S
    )


def write_image(path: Path, busybox: Path, reference: str = IMAGE, command: Sequence[str] = ("sh",)) -> None:
    """Write a docker-save archive with one layer: busybox and hard links of its applets."""
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        _add(tar, "bin/busybox", busybox.read_bytes(), 0o755)
        for applet in sorted({*listed.stdout.split()} - {"busybox"}):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname, entry.mode = tarfile.LNKTYPE, "bin/busybox", 0o755
            tar.addfile(entry)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
        _add(tar, "etc/group", b"root:x:0:\nusers:x:100:nobody\n")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": list(command), "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        _add(archive, "config.json", json.dumps(config).encode())
        _add(archive, "layer.tar", layer.getvalue())
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def clean_up(node: Node) -> None:
    """End everything, whatever state it is in: processes, then cgroups; mounts go with their namespace."""
    node.channel.close()
    client = RuntimeClient(node.directory / "run")
    with contextlib.suppress(RuntimeFault, OSError), contextlib.closing(client):
        client.shutdown(remove=True)
    node.keeper.terminate()
    try:
        node.keeper.wait(15)
    except subprocess.TimeoutExpired:
        node.keeper.kill()
        node.keeper.wait(5)
    own = group.Group(hierarchy.detect(), node.name)
    own.kill()
    with contextlib.suppress(AssertionError):
        wait_for(own.remove)
