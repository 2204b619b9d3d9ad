"""Daemons are killed at random under load: no container, exit code, line or event is lost."""

import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from cri.api import runtime_pb2 as pb
from tests.root.cri.server import lab
from tests.root.cri.server.conftest import IMAGE, wait_for
from tests.root.cri.server.lab import Lab

pytestmark = pytest.mark.root

PODS = 10
SECONDS = float(os.environ.get("NANOKUBE_TEST_SECONDS", "5"))
# Five lines a second until told, then an exit code of its own.
COUNT = "i=0; trap 'echo end; exit {code}' TERM; while :; do echo $i; i=$((i+1)); sleep 0.2; done"
KILLS = [
    ["server"],
    ["nk-super"],
    ["nk-logd"],
    ["nk-super", "nk-logd"],
    ["nk-keeper"],
    [*lab.DAEMONS, "server"],
]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Lab]:
    with lab.new(tmp_path) as made:
        yield made


def run(node: Lab, name: str, script: str) -> tuple[str, str]:
    """Run a Pod with one container through whatever is killed meanwhile; return both ids."""
    request = lab.request_for(name, node.directory)
    pod = node.call("RunPodSandbox", request).pod_sandbox_id
    options = pb.NamespaceOption(pid=pb.CONTAINER)
    config = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name="main"),
        image=pb.ImageSpec(image=IMAGE),
        command=["sh", "-c", script],
        log_path="main/0.log",
        linux=pb.LinuxContainerConfig(
            security_context=pb.LinuxContainerSecurityContext(namespace_options=options)
        ),
    )
    creation = pb.CreateContainerRequest(pod_sandbox_id=pod, config=config, sandbox_config=request.config)
    main = node.call("CreateContainer", creation).container_id
    node.start_container(main)
    return pod, main


def remove(node: Lab, pod: str) -> None:
    node.call("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=pod))
    node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod))


def churn(node: Lab, until: float, codes: list[tuple[str, int]]) -> None:
    """Run short Pods one after another and note their exit codes."""
    number = 0
    while time.monotonic() < until:
        pod, main = run(node, f"short-{number}", "exit 3")
        wait_for(lambda made=main: node.status(made).state == pb.CONTAINER_EXITED, 20)  # type: ignore[misc]
        codes.append((f"short-{number}", node.status(main).exit_code))
        remove(node, pod)
        number += 1


def test_whatever_is_killed_pods_go_on(node: Lab) -> None:
    remove(node, run(node, "first", "exit 0")[0])
    before = node.baseline()
    with futures.ThreadPoolExecutor(4) as pool:
        names = [f"long-{number}" for number in range(PODS)]
        scripts = [COUNT.format(code=10 + number) for number in range(PODS)]
        pods = list(pool.map(run, [node] * PODS, names, scripts))
    seed = lab.SEED
    dice, until, codes = random.Random(seed), time.monotonic() + SECONDS, list[tuple[str, int]]()
    lifes = threading.Thread(target=churn, args=(node, until, codes))
    lifes.start()
    killed: list[list[str]] = []
    while time.monotonic() < until:
        time.sleep(dice.uniform(0.0, 0.6))
        killed.append(dice.choice(KILLS))
        node.kill(*killed[-1])
        node.call("Version", pb.VersionRequest())  # on a busy host nothing else would ever get its turn
    kills = len(killed)
    lifes.join(60)
    assert not lifes.is_alive(), f"seed {seed}: {node.report()}"
    unknown = sum(
        "nk-keeper" in daemons for daemons in killed
    )  # what may end while nobody is there to see it
    for number, (_, main) in enumerate(pods):
        assert node.status(main).state == pb.CONTAINER_RUNNING, f"seed {seed}: long-{number}"
        command = pb.ExecSyncRequest(container_id=main, cmd=["echo", "here"], timeout=10)
        assert node.call("ExecSync", command).stdout == b"here\n"
    with futures.ThreadPoolExecutor(4) as pool:
        stops = [pb.StopContainerRequest(container_id=main, timeout=20) for _, main in pods]
        list(pool.map(lambda stop: node.call("StopContainer", stop), stops))
    for number, (_, main) in enumerate(pods):
        code = node.status(main).exit_code
        assert code == 10 + number or (code == 255 and unknown and not lab.KEEPS_EXITS), f"seed {seed}"
        check_log(node.log(f"long-{number}", "main"), kills)
    wrong = [(name, code) for name, code in codes if code != 3]
    assert {code for _, code in wrong} <= {255}, f"seed {seed}: {wrong}"
    assert len(codes) > len(wrong) <= unknown, f"seed {seed}: {wrong} after {killed}"
    print(f"seed {seed}: {kills} kills, {len(codes)} short Pods, unknown: {wrong}, slowest: {node.slowest}")
    for pod, _ in pods:
        remove(node, pod)
    node.assert_unchanged(before, f"seed {seed}, {kills} kills, {len(codes)} short Pods")


def check_log(lines: list[str], kills: int) -> None:
    """Lines come in order, none twice; a killed log pump may have lost the one read it was about to write."""
    assert lines[-1] == "end"
    numbers = [int(line) for line in lines[:-1]]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= numbers[-1] + 1 - kills


def test_a_reboot_leaves_only_the_images(node: Lab) -> None:
    remove(node, run(node, "reboot-first", "exit 0")[0])
    before = node.baseline()
    for number in range(3):
        run(node, f"reboot-{number}", "sleep 1000")
    run(node, "reboot-done", "exit 0")
    node.power_off()
    node.start()
    assert not node.call("ListPodSandbox", pb.ListPodSandboxRequest()).items
    assert not node.call("ListContainers", pb.ListContainersRequest()).containers
    after = run(node, "reboot-0", "sleep 1000")
    remove(node, after[0])
    node.assert_unchanged(before, "reboot")


def test_a_run_directory_that_outlives_the_boot_is_believed_for_its_records_alone(node: Lab) -> None:
    pod, main = run(node, "disk", "sleep 1000")
    kept = node.directory / "kept"
    node.power_off(kept)
    shutil.copytree(kept, node.directory / "run", symlinks=True, dirs_exist_ok=True)
    (node.directory / "run/boot_id").write_text("another")
    node.start()
    status = node.status(main)
    assert (status.state, status.exit_code, status.reason) == (pb.CONTAINER_EXITED, 255, "Unknown")
    shown = node.call("PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod)).status
    assert shown.state == pb.SANDBOX_NOTREADY
    remove(node, pod)
    remove(node, run(node, "disk", "exit 0")[0])
    # Beside containers' snapshots there is the lowest layer of all, which stays.
    wait_for(lambda: [each.name for each in (node.directory / "lib/snapshots").iterdir()] == [".places"])
    assert not list((node.directory / "run/c").iterdir())


def test_a_listener_hears_every_event_while_supervisors_are_killed(node: Lab) -> None:
    stream = node.runtime.GetContainerEvents(pb.GetEventsRequest())
    heard: list[tuple[str, int]] = []

    def listen() -> None:
        try:
            heard.extend((event.container_id, event.container_event_type) for event in stream)
        except grpc.RpcError:
            return

    stream.initial_metadata()
    listener = threading.Thread(target=listen)
    listener.start()
    wanted = []
    for number in range(6):
        pod, main = run(node, f"heard-{number}", "exit 0")
        node.kill(("nk-super", "nk-logd")[number % 2])
        wait_for(lambda made=main: node.status(made).state == pb.CONTAINER_EXITED)  # type: ignore[misc]
        remove(node, pod)
        for kind in (pb.CONTAINER_CREATED_EVENT, pb.CONTAINER_STARTED_EVENT, pb.CONTAINER_STOPPED_EVENT):
            wanted += [(pod, kind), (main, kind)]
        wanted += [(pod, pb.CONTAINER_DELETED_EVENT), (main, pb.CONTAINER_DELETED_EVENT)]
    wait_for(lambda: set(wanted) <= set(heard))
    stream.cancel()
    listener.join(10)
    assert sorted(heard) == sorted(wanted)  # each once
