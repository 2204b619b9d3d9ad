#!/usr/bin/env python3
"""How fast the container runtime is over CRI, beside containerd in the same run: prints a table.

    sudo .venv/bin/python scripts/bench/runtime.py [--rounds N] [--peer DIRECTORY [--crun]]

Runs in namespaces and directories of its own. DIRECTORY holds Debian's containerd, runc, crun, libyajl2 and
containernetworking-plugins, unpacked and not installed:

    apt-get download containerd runc crun libyajl2 containernetworking-plugins
    for package in *.deb; do dpkg -x "$package" DIRECTORY; done

A round is one Pod's life on each runtime in turn, on a bridge network each, through one gRPC client:
RunPodSandbox, CreateContainer, StartContainer, a second container, ExecSync, StopPodSandbox and
RemovePodSandbox. "first instruction" is when the container's program writes to a FIFO of the host.
Milliseconds; ratios are of medians. crun refuses hosts whose cgroups are hybrid: leave --crun away there.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from cri.api import runtime_pb2 as pb
from cri.api import runtime_pb2_grpc
from tests.root.cri.server import conftest

STEPS = (
    "RunPodSandbox",
    "CreateContainer",
    "StartContainer",
    "run+create+start to first instruction",
    "second container to first instruction",
    "ExecSync",
    "StopPodSandbox",
    "RemovePodSandbox",
    "stop+remove",
)
Samples = dict[str, list[float]]
_INSIDE = "NANOKUBE_BENCH_INSIDE"
_TIMEOUT_S = 60
_PAUSE = "bench.local/pause:1"

CONTAINERD = """version = 2
root = "{at}/root"
state = "{at}/state"
[grpc]
  address = "{at}/cri.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{at}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{peer}/usr/lib/cni"
    conf_dir = "{at}/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{binary}"
"""


class Runtime:
    """One runtime behind a socket, and what was measured of it."""

    def __init__(self, name: str, socket: Path, scratch: Path) -> None:
        self.name = name
        self.samples: Samples = {step: [] for step in STEPS}
        self.channel = grpc.insecure_channel(f"unix://{socket}")
        self.stub: Any = runtime_pb2_grpc.RuntimeServiceStub(self.channel)  # type: ignore[no-untyped-call]
        self.shared = scratch / "shared"
        self.shared.mkdir()
        self._count = 0

    def live(self) -> None:
        """Run one Pod from creation to removal and note each step."""
        self._count += 1
        metadata = pb.PodSandboxMetadata(name=f"p{self._count}", uid=f"u{self._count}", namespace="bench")
        pod = pb.PodSandboxConfig(metadata=metadata)
        began = time.perf_counter()
        answer = self._call("RunPodSandbox", pb.RunPodSandboxRequest(config=pod))
        identity = answer.pod_sandbox_id
        first, at = self._container(identity, pod, "a", is_noted=True)
        self._note("run+create+start to first instruction", at - began)
        second = time.perf_counter()
        self._note("second container to first instruction", self._container(identity, pod, "b")[1] - second)
        self._call("ExecSync", pb.ExecSyncRequest(container_id=first, cmd=["true"]))
        ending = time.perf_counter()
        self._call("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=identity))
        self._call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=identity))
        self._note("stop+remove", time.perf_counter() - ending)

    def _container(
        self, sandbox: str, pod: pb.PodSandboxConfig, name: str, *, is_noted: bool = False
    ) -> tuple[str, float]:
        """Create and start a container; its id, and the time of its first instruction."""
        fifo = self.shared / f"{name}{self._count}"
        os.mkfifo(fifo)
        heard: list[float] = []

        def listen() -> None:
            with fifo.open("rb") as end:
                end.read(1)
                heard.append(time.perf_counter())

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name=name),
            image=pb.ImageSpec(image=conftest.IMAGE),
            command=["sh", "-c", f"echo > /shared/{fifo.name}; exec sleep 1000"],
            linux=pb.LinuxContainerConfig(security_context=_security()),
            mounts=[pb.Mount(container_path="/shared", host_path=str(self.shared))],
        )
        request = pb.CreateContainerRequest(pod_sandbox_id=sandbox, config=config, sandbox_config=pod)
        identity = self._call("CreateContainer", request, is_noted=is_noted).container_id
        self._call("StartContainer", pb.StartContainerRequest(container_id=identity), is_noted=is_noted)
        listener.join(_TIMEOUT_S)
        fifo.unlink()
        return identity, heard[0]

    def _call(self, step: str, request: Any, *, is_noted: bool = True) -> Any:
        began = time.perf_counter()
        answer = getattr(self.stub, step)(request, timeout=_TIMEOUT_S)
        if is_noted:
            self._note(step, time.perf_counter() - began)
        return answer

    def _note(self, step: str, seconds: float) -> None:
        self.samples[step].append(seconds * 1e3)

    def forget(self) -> None:
        """Drop what warming up has measured."""
        self.samples = {step: [] for step in STEPS}


def _security() -> pb.LinuxContainerSecurityContext:
    """A PID namespace of its own, as the kubelet asks for unless a Pod shares one; seccomp by default."""
    return pb.LinuxContainerSecurityContext(
        namespace_options=pb.NamespaceOption(pid=pb.CONTAINER),
        seccomp=pb.SecurityProfile(profile_type=pb.SecurityProfile.RuntimeDefault),
    )


def main() -> None:
    """Measure in namespaces of our own and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--peer", type=Path, help="directory with containerd, runc, crun and CNI plugins")
    parser.add_argument("--crun", action="store_true", help="measure containerd + crun too")
    options = parser.parse_args()
    if not os.environ.get(_INSIDE):
        prepare = 'mount --make-rshared / && mount -t tmpfs run /run && ip link set lo up && exec "$@"'
        command = ["unshare", "--mount", "--net", "--uts", "--ipc", "sh", "-c", prepare, "sh"]
        os.environ[_INSIDE] = "1"
        os.environ["PYTHONPATH"] = str(conftest.SOURCE)
        os.execvp("unshare", [*command, sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory(prefix="nkb-") as scratch, contextlib.ExitStack() as stack:
        runtimes = [stack.enter_context(ours(Path(scratch)))]
        binaries = ["usr/sbin/runc"] * bool(options.peer) + ["usr/bin/crun"] * options.crun
        for binary in binaries:
            runtimes.append(stack.enter_context(containerd(Path(scratch), options.peer, binary)))
        for runtime in runtimes:
            runtime.live()
            runtime.live()
            runtime.forget()
        for _ in range(options.rounds):
            for runtime in runtimes:
                runtime.live()
        show(runtimes)


@contextlib.contextmanager
def ours(scratch: Path) -> Iterator[Runtime]:
    """Start nanokube's runtime."""
    directory = scratch / "nanokube"
    directory.mkdir()
    node = conftest.launch(directory, f"nk-bench-{os.getpid()}")
    try:
        conftest.load_image(node)
        yield Runtime("nanokube", directory / "cri.sock", directory)
    finally:
        conftest.clean_up(node)


@contextlib.contextmanager
def containerd(scratch: Path, peer: Path, binary: str) -> Iterator[Runtime]:
    """Start a containerd of its own that runs containers by runc or crun, with the same image."""
    name = Path(binary).name
    directory = scratch / name
    (directory / "net.d").mkdir(parents=True)
    (directory / "net.d" / "1.conflist").write_text(json.dumps(network(name)))
    config = directory / "config.toml"
    config.write_text(
        CONTAINERD.format(at=directory, peer=peer.absolute(), binary=peer.absolute() / binary, pause=_PAUSE)
    )
    libraries = next((str(path) for path in (peer / "usr/lib").glob("*-linux-gnu")), "")
    path = f"{peer.absolute()}/usr/bin:{peer.absolute()}/usr/sbin:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "LD_LIBRARY_PATH": libraries}
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [peer / "usr/bin/containerd", "-c", config], env=environment, stdout=log, stderr=log
        )
    runtime = Runtime(f"containerd+{name}", directory / "cri.sock", directory)
    try:
        grpc.channel_ready_future(runtime.channel).result(timeout=30)
        _import(peer, directory, environment)
        yield runtime
    finally:
        for item in runtime.stub.ListPodSandbox(pb.ListPodSandboxRequest(), timeout=_TIMEOUT_S).items:
            runtime.stub.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=item.id))
        runtime.channel.close()
        server.terminate()
        server.wait(30)
        for top in [
            *Path("/sys/fs/cgroup").glob("k8s.io"),
            *Path("/sys/fs/cgroup").glob("*/k8s.io"),
        ]:  # where it puts Pods without a cgroup parent
            for below, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(below)


def _import(peer: Path, directory: Path, environment: dict[str, str]) -> None:
    busybox = shutil.which("busybox")
    assert busybox, "busybox is missing"
    archive = directory / "image.tar"
    ctr = [str(peer / "usr/bin/ctr"), "-a", str(directory / "cri.sock"), "-n", "k8s.io", "images", "import"]
    for reference, command in ((conftest.IMAGE, ["sh"]), (_PAUSE, ["sleep", "1000000"])):
        conftest.write_image(archive, Path(busybox), reference, command)
        subprocess.run([*ctr, str(archive)], env=environment, check=True, stdout=subprocess.DEVNULL)


def network(name: str) -> dict[str, Any]:
    """A bridge network as nanokube's own."""
    third = {"runc": 201, "crun": 202}[name]
    ranges = [[{"subnet": f"10.{third}.0.0/24"}]]
    ipam = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": f"nkb-{name}", "isGateway": True, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": f"bench-{name}", "plugins": [bridge, portmap]}


def show(runtimes: list[Runtime]) -> None:
    """Print medians, 95th percentiles and, with a peer, ratios to it."""
    own, *peers = runtimes
    titles = "".join(f"{runtime.name + ' p50/p95':>26}" for runtime in runtimes)
    print(f"{'ms':<40}{titles}" + "".join(f"{'ratio to ' + peer.name[11:]:>15}" for peer in peers))
    for step in STEPS:
        cells = "".join(f"{_cell(runtime.samples[step]):>26}" for runtime in runtimes)
        middle = statistics.median(own.samples[step])
        ratios = "".join(f"{middle / statistics.median(peer.samples[step]):>15.3f}" for peer in peers)
        print(f"{step:<40}{cells}{ratios}")


def _cell(samples: list[float]) -> str:
    ordered = sorted(samples)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"{statistics.median(ordered):.1f} / {high:.1f}"


if __name__ == "__main__":
    main()
