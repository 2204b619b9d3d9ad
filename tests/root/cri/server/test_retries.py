"""A call that is repeated, late, or made twice at once does its work once."""

import json
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from functools import partial
from typing import Any

import grpc
import pytest

from cri.api import runtime_pb2 as pb
from tests.root.cri.server import lab
from tests.root.cri.server.conftest import IMAGE, PATIENCE_S, wait_for
from tests.root.cri.server.lab import Lab

pytestmark = pytest.mark.root

# Waits at ADD for as long as the file `wait` is beside it.
PLUGIN = """#!/bin/sh
if [ "$CNI_COMMAND" = ADD ]; then
    echo x >> {directory}/adds
    while [ -e {directory}/wait ]; do sleep 0.02; done
fi
[ "$CNI_COMMAND" != ADD ] || echo '{{"cniVersion":"1.0.0","ips":[]}}'
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab.new(tmp_path_factory.mktemp("retries")) as made:
        plugin = made.directory / "bin/slow"
        plugin.parent.mkdir(exist_ok=True)
        plugin.write_text(PLUGIN.format(directory=made.directory))
        plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
        network = {"cniVersion": "1.0.0", "name": "slow", "plugins": [{"type": "slow"}]}
        (made.directory / "net.d/00-slow.conflist").write_text(json.dumps(network))
        yield made


def both(*calls: Callable[[], Any]) -> list[Any]:
    """Make calls at once; return their results."""
    with futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(PATIENCE_S) for future in [pool.submit(call) for call in calls]]


def creation(pod: str, config: pb.PodSandboxConfig, name: str) -> pb.CreateContainerRequest:
    options = pb.NamespaceOption(pid=pb.CONTAINER)
    security = pb.LinuxContainerSecurityContext(namespace_options=options)
    wanted = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=name),
        image=pb.ImageSpec(image=IMAGE),
        command=["sleep", "1000"],
        linux=pb.LinuxContainerConfig(security_context=security),
    )
    return pb.CreateContainerRequest(pod_sandbox_id=pod, config=wanted, sandbox_config=config)


def remove(node: Lab, pod: str) -> None:
    node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod))


def is_late(call: Callable[[], Any]) -> bool:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return lab.code_of(caught.value) is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_sandbox_that_takes_long_is_joined_by_the_retries(node: Lab) -> None:
    (node.directory / "wait").touch()
    (node.directory / "adds").unlink(missing_ok=True)
    request = lab.request_for("slow", node.directory)
    for _ in range(3):
        assert is_late(lambda: node.runtime.RunPodSandbox(request, timeout=0.3))
    other = lab.request_for("slow", node.directory, hostname="other")
    with pytest.raises(grpc.RpcError) as refused:
        node.runtime.RunPodSandbox(other, timeout=PATIENCE_S)
    assert lab.code_of(refused.value) is grpc.StatusCode.ALREADY_EXISTS
    threading.Timer(0.3, (node.directory / "wait").unlink).start()
    first, second = both(
        *[lambda: node.runtime.RunPodSandbox(request, timeout=PATIENCE_S).pod_sandbox_id] * 2
    )
    assert first == second
    assert (node.directory / "adds").read_text() == "x\n"
    (listed,) = node.runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items
    assert (listed.id, listed.state) == (first, pb.SANDBOX_READY)
    remove(node, first)


def test_a_late_sandbox_is_given_to_the_retry_that_comes_after_it(node: Lab) -> None:
    (node.directory / "wait").touch()
    request = lab.request_for("late", node.directory)
    assert is_late(lambda: node.runtime.RunPodSandbox(request, timeout=0.2))
    (node.directory / "wait").unlink()
    wait_for(lambda: len(node.runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items) == 1)
    pod = node.runtime.RunPodSandbox(request, timeout=PATIENCE_S).pod_sandbox_id
    made = node.runtime.CreateContainer(
        creation(pod, request.config, "main"), timeout=PATIENCE_S
    ).container_id
    again = node.runtime.CreateContainer(
        creation(pod, request.config, "main"), timeout=PATIENCE_S
    ).container_id
    assert made == again
    node.start_container(made)
    for call, repeated in (
        (node.runtime.RunPodSandbox, request),
        (node.runtime.CreateContainer, creation(pod, request.config, "main")),
    ):
        with pytest.raises(grpc.RpcError) as used:  # somebody has had the answer
            call(repeated, timeout=PATIENCE_S)
        assert lab.code_of(used.value) is grpc.StatusCode.ALREADY_EXISTS
    remove(node, pod)


def test_a_container_waits_for_a_stalled_supervisor_once(node: Lab) -> None:
    request = lab.request_for("stalled", node.directory)
    pod = node.runtime.RunPodSandbox(request, timeout=PATIENCE_S).pod_sandbox_id
    supervisor = node.pid("nk-super")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        wanted = creation(pod, request.config, "main")
        for _ in range(2):
            assert is_late(lambda: node.runtime.CreateContainer(wanted, timeout=0.2))
    finally:
        os.kill(supervisor, signal.SIGCONT)
    first, second = both(*[lambda: node.runtime.CreateContainer(wanted, timeout=PATIENCE_S).container_id] * 2)
    assert first == second
    (listed,) = node.runtime.ListContainers(pb.ListContainersRequest()).containers
    assert listed.id == first
    remove(node, pod)


def test_stops_and_removals_at_once_all_succeed(node: Lab) -> None:
    for number in range(10):
        request = lab.request_for(f"twice-{number}", node.directory)
        pod = node.runtime.RunPodSandbox(request, timeout=PATIENCE_S).pod_sandbox_id
        main = node.runtime.CreateContainer(
            creation(pod, request.config, "main"), timeout=PATIENCE_S
        ).container_id
        node.start_container(main)
        calls = [
            partial(node.runtime.StopContainer, pb.StopContainerRequest(container_id=main)),
            partial(node.runtime.RemoveContainer, pb.RemoveContainerRequest(container_id=main)),
            partial(node.runtime.StopPodSandbox, pb.StopPodSandboxRequest(pod_sandbox_id=pod)),
            partial(node.runtime.RemovePodSandbox, pb.RemovePodSandboxRequest(pod_sandbox_id=pod)),
        ]
        both(*calls, *calls)
    assert not node.runtime.ListPodSandbox(pb.ListPodSandboxRequest()).items
    assert not node.runtime.ListContainers(pb.ListContainersRequest()).containers


def test_a_stop_goes_on_when_its_client_gives_up_and_when_the_supervisor_is_killed(node: Lab) -> None:
    request = lab.request_for("stop", node.directory)
    pod = node.runtime.RunPodSandbox(request, timeout=PATIENCE_S).pod_sandbox_id
    main = node.runtime.CreateContainer(
        creation(pod, request.config, "main"), timeout=PATIENCE_S
    ).container_id
    node.start_container(main)
    grace_s = 6
    stop = pb.StopContainerRequest(container_id=main, timeout=grace_s)
    begin = time.time()
    assert is_late(lambda: node.runtime.StopContainer(stop, timeout=0.2))  # PID 1 heeds no SIGTERM
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(node.runtime.StopContainer, stop, timeout=PATIENCE_S)
        time.sleep(max(0, begin + grace_s - 1 - time.time()))
        node.kill("nk-super")
        wait_for(lambda: node.runtime.Status(pb.StatusRequest()).status.conditions[0].status)
        back = time.time()
        waiting.result(PATIENCE_S)
    status = node.status(main)
    assert status.exit_code == 137
    # in what was left: the grace period began anew neither for the second call nor for the new supervisor
    assert begin + grace_s - 1 < status.finished_at / 1e9 < back + grace_s
    remove(node, pod)
