"""Exec and attach through the URLs the server gives out."""

import concurrent.futures
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cri.api import runtime_pb2 as pb
from tests.root.cri.server.conftest import PATIENCE_S, SOURCE, Node, wait_for

pytestmark = pytest.mark.root

SLEEP = "while :; do sleep 0.05; done"


def stream(node: Node, url: str, stdin: str = "") -> dict[str, str]:
    """Run the client in the node's network; return channel number to text."""
    script = Path(__file__).with_name("stream_client.py")
    command = ["nsenter", "-t", str(node.keeper.pid), "-n", sys.executable, str(script), url, stdin]
    result = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


def test_exec_keeps_the_streams_apart_and_tells_the_exit_code(node: Node) -> None:
    pod = node.sandbox("exec")
    container = node.container(pod, "main", SLEEP)
    request = pb.ExecRequest(
        container_id=container[:13],
        cmd=["sh", "-c", "cat; echo err >&2; exit 3"],
        stdin=True,
        stdout=True,
        stderr=True,
    )
    answer = stream(node, node.runtime.Exec(request).url, "given\n")
    assert (answer["1"], answer["2"]) == ("given\n", "err\n")
    status = json.loads(answer["3"])
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)


def test_exec_on_a_terminal(node: Node) -> None:
    pod = node.sandbox("tty")
    container = node.container(pod, "main", SLEEP)
    request = pb.ExecRequest(
        container_id=container, cmd=["sh", "-c", "tty"], tty=True, stdin=True, stdout=True
    )
    answer = stream(node, node.runtime.Exec(request).url)
    assert answer["1"].strip().startswith("/dev/pts/")
    assert json.loads(answer["3"])["status"] == "Success"
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)


def test_an_attached_shell_ends_with_its_input(node: Node) -> None:
    pod = node.sandbox("attach")
    container = node.container(pod, "main", "exec sh", stdin=True, stdin_once=True)
    request = pb.AttachRequest(container_id=container, stdin=True, stdout=True, stderr=True)
    answer = stream(node, node.runtime.Attach(request).url, "echo hello\n")
    assert (answer["1"], answer["2"]) == ("hello\n", "")
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)


@pytest.mark.parametrize("has_terminal", [True, False])
def test_an_attachment_goes_by_the_containers_terminal_whatever_it_asks_for(
    node: Node, has_terminal: bool
) -> None:
    """As containerd's does: `tty` of the request only says that no stderr is wanted."""
    pod = node.sandbox(f"mismatch-{has_terminal}")
    script = f"read line; echo got $line; echo err >&2; {SLEEP}"
    container = node.container(pod, "main", script, stdin=True, stdin_once=True, tty=has_terminal)
    if has_terminal:
        request = pb.AttachRequest(container_id=container, stdin=True, stdout=True, stderr=True)
    else:
        request = pb.AttachRequest(container_id=container, stdin=True, stdout=True, tty=True)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(stream, node, node.runtime.Attach(request).url, "hello\n")
        wait_for(lambda: "err" in node.log(pod[1].metadata.name, "main"))
        remove = pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0])
        node.runtime.RemovePodSandbox(remove, timeout=PATIENCE_S)
        found = answer.result(PATIENCE_S)
    assert "got hello" in found["1"]
    assert ("err" in found["1"]) == has_terminal  # a terminal has one output
    assert found["2"] == ""
