"""A Pod's life over gRPC: sandbox, container, log, exec, stop, remove, and nothing left behind."""

import os
import socket
import subprocess
import threading
from pathlib import Path

import grpc
import pytest

from cri.api import runtime_pb2 as pb
from cri.cgroup import group, hierarchy
from tests.root.cri.server.conftest import PATIENCE_S, Node, wait_for

pytestmark = pytest.mark.root

SLEEP = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"


def code(call: grpc.RpcError) -> grpc.StatusCode:
    assert isinstance(call, grpc.Call)
    answer = call.code()
    assert isinstance(answer, grpc.StatusCode)
    return answer


def left(node: Node) -> list[str]:
    """Return what sandboxes and containers left behind: records, pins, layers, leases, cgroups, mounts."""
    places = ("run/sandboxes", "run/containers", "run/ns", "run/c", "lib/snapshots", "cni/leases/nanokube")
    found = [entry for place in places for entry in (node.directory / place).glob("*")]
    found = [entry for entry in found if len(entry.name) > 60 or entry.name.startswith("10.")]
    for top in group.Group(hierarchy.detect(), f"{node.name}/pods").v1_directories():
        found += [entry for entry in Path(top).glob("*") if entry.is_dir()]
    mounts = Path(f"/proc/{node.keeper.pid}/mounts").read_text().splitlines()
    return list(map(str, found)) + [line for line in mounts if str(node.directory) in line]


def test_a_pod_lives_and_leaves_nothing(node: Node) -> None:
    pod = node.sandbox(
        "life", hostname="web-0", dns_config=pb.DNSConfig(servers=["10.10.10.10"], options=["ndots:8"])
    )
    first = node.container(pod, "main", "hostname; cat /etc/resolv.conf; echo oops >&2; " + SLEEP)
    wait_for(lambda: "ready" in node.log("life", "main"))
    assert sorted(node.log("life", "main")) == [
        "nameserver 10.10.10.10",
        "oops",
        "options ndots:8",
        "ready",
        "web-0",
    ]
    result = node.execute(first, "echo hello; echo err >&2; exit 3")
    assert (result.stdout, result.stderr, result.exit_code) == (b"hello\n", b"err\n", 3)
    assert node.status(first).state == pb.CONTAINER_RUNNING
    node.runtime.StopContainer(pb.StopContainerRequest(container_id=first, timeout=10), timeout=PATIENCE_S)
    ended = node.status(first)
    assert (ended.state, ended.exit_code, ended.reason) == (pb.CONTAINER_EXITED, 7, "Error")
    second = node.container(pod, "second", SLEEP)
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)
    for identity in (first, second):
        with pytest.raises(grpc.RpcError) as caught:
            node.status(identity)
        assert code(caught.value) is grpc.StatusCode.NOT_FOUND
    wait_for(lambda: not left(node))


def test_what_is_unknown_or_done_is_no_error(node: Node) -> None:
    image = pb.ImageSpec(image="a" * 64)
    for _ in range(2):
        node.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id="nope"))
        node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id="nope"))
        node.runtime.StopContainer(pb.StopContainerRequest(container_id="nope"))
        node.runtime.RemoveContainer(pb.RemoveContainerRequest(container_id="nope"))
        node.image.RemoveImage(pb.RemoveImageRequest(image=image))
    with pytest.raises(grpc.RpcError) as caught:
        node.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id="nope"))
    assert code(caught.value) is grpc.StatusCode.NOT_FOUND


def test_pods_reach_each_other_by_address(node: Node) -> None:
    server, client = node.sandbox("server"), node.sandbox("client")
    status = node.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=server[0])).status
    assert status.network.ip.startswith("10.199.0.")
    script = "echo found > /tmp/index.html; exec httpd -f -p 80 -h /tmp"
    node.container(server, "web", script)
    curl = node.container(client, "curl", SLEEP)
    fetch = f"wget -q -O - http://{status.network.ip}/index.html"
    wait_for(lambda: node.execute(curl, fetch).stdout == b"found\n")
    for pod in (server, client):
        node.runtime.StopPodSandbox(pb.StopPodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)
        shown = node.runtime.PodSandboxStatus(pb.PodSandboxStatusRequest(pod_sandbox_id=pod[0])).status
        assert (shown.state, shown.network.ip) == (pb.SANDBOX_NOTREADY, "")
        node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)


def test_an_exec_past_its_time_is_killed(node: Node) -> None:
    pod = node.sandbox("timeout")
    container = node.container(pod, "main", SLEEP)
    with pytest.raises(grpc.RpcError) as caught:
        node.execute(container, "exec sleep 4321", timeout_s=1)
    assert code(caught.value) is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for(lambda: b"sleep 4321" not in node.execute(container, "ps").stdout)
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)


@pytest.mark.parametrize("script", ["exec sleep 4320", "exec sleep 4320 >/dev/null 2>&1"])
def test_an_exec_whose_client_leaves_is_killed(node: Node, script: str) -> None:
    pod = node.sandbox("left")
    container = node.container(pod, "main", SLEEP)
    command = pb.ExecSyncRequest(container_id=container, cmd=["sh", "-c", script])
    with pytest.raises(grpc.RpcError) as caught:
        node.runtime.ExecSync(command, timeout=0.5)
    assert code(caught.value) is grpc.StatusCode.DEADLINE_EXCEEDED
    call = node.runtime.ExecSync.future(command)
    wait_for(lambda: b"sleep 4320" in node.execute(container, "ps").stdout)
    call.cancel()
    wait_for(lambda: b"sleep 4320" not in node.execute(container, "ps").stdout)
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)


def test_shared_memory_is_the_pods(node: Node) -> None:
    pod = node.sandbox("shm")
    one, two = (node.container(pod, name, SLEEP) for name in ("one", "two"))
    node.execute(one, "echo shared > /dev/shm/x")
    assert node.execute(two, "cat /dev/shm/x").stdout == b"shared\n"
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)


def test_a_command_that_is_not_there_ends_the_container(node: Node) -> None:
    pod = node.sandbox("absent")
    config = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name="c"),
        image=pb.ImageSpec(image="docker.io/library/busybox:test"),
        command=["/absent"],
    )
    request = pb.CreateContainerRequest(pod_sandbox_id=pod[0], config=config, sandbox_config=pod[1])
    identity = node.runtime.CreateContainer(request).container_id
    with pytest.raises(grpc.RpcError, match="no such file"):
        node.runtime.StartContainer(pb.StartContainerRequest(container_id=identity))
    ended = node.status(identity)
    assert (ended.state, ended.exit_code, ended.reason) == (pb.CONTAINER_EXITED, 128, "StartError")
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)


def test_events_are_heard_and_the_socket_is_private(node: Node) -> None:
    stream = node.runtime.GetContainerEvents(pb.GetEventsRequest())
    heard: list[str] = []

    def listen() -> None:
        try:
            heard.extend(pb.ContainerEventType.Name(event.container_event_type) for event in stream)
        except grpc.RpcError:
            return

    stream.initial_metadata()
    listener = threading.Thread(target=listen)
    listener.start()
    pod = node.sandbox("events")
    node.container(pod, "main", "exit 0")
    wait_for(lambda: "CONTAINER_STOPPED_EVENT" in heard)
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)
    wait_for(lambda: heard.count("CONTAINER_DELETED_EVENT") == 2)
    stream.cancel()
    listener.join(10)
    assert heard[:4] == ["CONTAINER_CREATED_EVENT", "CONTAINER_STARTED_EVENT"] * 2
    assert (node.directory / "cri.sock").stat().st_mode & 0o777 == 0o600


def test_containers_outlive_the_server(node: Node) -> None:
    pod = node.sandbox("survive")
    container = node.container(pod, "main", SLEEP)
    pid = node.server_pid()
    os.kill(pid, 9)
    wait_for(lambda: node.server_pid() not in (0, pid))

    def answers() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(node.directory / "cri.sock")) == 0

    wait_for(answers)
    request = pb.ContainerStatusRequest(container_id=container)
    shown = node.runtime.ContainerStatus(request, wait_for_ready=True, timeout=PATIENCE_S).status
    assert shown.state == pb.CONTAINER_RUNNING
    assert node.execute(container, "echo still").stdout == b"still\n"
    with pytest.raises(grpc.RpcError) as caught:
        node.sandbox("survive")
    assert code(caught.value) is grpc.StatusCode.ALREADY_EXISTS
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=pod[0]), timeout=PATIENCE_S)
    wait_for(lambda: not left(node))


def test_nothing_of_the_sandbox_is_seen_outside(node: Node) -> None:
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    assert "nkt0" not in links
