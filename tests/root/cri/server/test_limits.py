"""What the server refuses, bounds and ends on its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import grpc
import pytest

from cri.api import runtime_pb2 as pb
from tests.root.cri.server.conftest import PATIENCE_S, Node, wait_for

pytestmark = pytest.mark.root


def _remove(node: Node, identity: str) -> None:
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=identity), timeout=PATIENCE_S)


def test_stopping_a_sandbox_ends_what_never_started(node: Node) -> None:
    pod = node.sandbox("never")
    identity = node.create(pod, "a", "sleep 1000")
    node.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)
    status = node.status(identity)
    assert (status.state, status.exit_code, status.started_at) == (pb.CONTAINER_EXITED, 137, 0)
    _remove(node, pod[0])


def test_a_client_that_leaves_frees_the_thread_of_its_stop_which_goes_on(node: Node) -> None:
    pod = node.sandbox("left")
    identity = node.container(pod, "a", "trap 'echo asked' TERM; while :; do sleep 0.05; done")
    request = pb.StopContainerRequest(container_id=identity, timeout=5)
    asked = node.runtime.StopContainer.future(request)  # no deadline
    wait_for(lambda: node.log("left", "a") == ["asked"])
    asked.cancel()
    failed = "rpc failed name=StopContainer code=DEADLINE_EXCEEDED"
    wait_for(lambda: failed in (node.directory / "server.log").read_text())
    assert node.status(identity).state == pb.CONTAINER_RUNNING
    wait_for(lambda: node.status(identity).exit_code == 137)
    _remove(node, pod[0])


def test_bidirectional_propagation_needs_a_shared_mount(node: Node) -> None:
    private = node.directory / "private"
    private.mkdir()
    server = node.server_pid()
    enter = ["nsenter", "-t", str(server), "-m"]
    script = f"mount -t tmpfs tmpfs {private} && mount --make-private {private}"
    subprocess.run([*enter, "sh", "-c", script], check=True)
    pod = node.sandbox("propagation")
    mount = pb.Mount(container_path="/v", host_path=str(private), propagation=pb.PROPAGATION_BIDIRECTIONAL)
    try:
        with pytest.raises(grpc.RpcError, match="not shared"):
            node.create(pod, "a", "true", mounts=[mount])
        subprocess.run([*enter, "mount", "--make-shared", str(private)], check=True)
        node.create(pod, "a", "true", mounts=[mount])
    finally:
        _remove(node, pod[0])
        subprocess.run([*enter, "umount", "-l", str(private)], check=True)


def test_output_of_a_command_is_bounded(node: Node) -> None:
    """CVE-2022-31030: what ExecSync returns is held in memory."""
    pod = node.sandbox("bomb")
    identity = node.container(pod, "a", "sleep 1000")

    def peak() -> int:
        text = Path(f"/proc/{node.server_pid()}/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM"))

    before = peak()
    answer = node.execute(identity, "head -c 400000000 /dev/zero; echo oops >&2; exit 3", PATIENCE_S)
    assert (len(answer.stdout), answer.stderr, answer.exit_code) == ((16 << 20) - 1024 - 5, b"oops\n", 3)
    assert peak() - before < 120_000
    _remove(node, pod[0])
