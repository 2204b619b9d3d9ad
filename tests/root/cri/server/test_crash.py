"""Killed at every step of a Pod's life, the runtime takes up where it was and leaves nothing behind.

A Pod lives once for every row of STEPS' points: in each of its steps it meets one failpoint, which kills one
of VICTIMS (another one with each seed, see lab). The calls are repeated as a kubelet repeats them, with the
same metadata and attempt.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

import pytest

from cri import failpoint
from cri.api import runtime_pb2 as pb
from cri.api import transfer_pb2
from tests.root.cri.server import lab
from tests.root.cri.server.conftest import IMAGE, wait_for
from tests.root.cri.server.lab import Lab

pytestmark = pytest.mark.root

# What a call of each step passes.
STEPS = {
    "image": ("image.",),
    "run": ("sandbox.", "record.half_written", "namespaces.", "network."),
    "create": (
        "container.",
        "supervisor.half_recorded",
        "supervisor.recorded",
        "supervisor.grouped",
        "supervisor.clone",
    ),
    "start": ("start.", "supervisor.start_noted", "supervisor.go_sent", "supervisor.run_noted"),
    "stop": ("stop.", "supervisor.kill_sent", "supervisor.exit_"),
    "remove": (
        "remove.",
        "teardown.processes_gone",
        "teardown.layer_gone",
        "snapshot.",
        "record.forgotten",
        "record.half_deleted",
        "supervisor.remove",
        "supervisor.group_gone",
    ),
    "stop_sandbox": ("stop_sandbox.", "teardown.detached", "teardown.unpinned"),
    "remove_sandbox": ("remove_sandbox.", "release."),
}
SLEEP = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"
VICTIMS = {"server": ["server"], "supervisor": ["nk-super"], "all": [*lab.DAEMONS, "server"]}


def points(step: str) -> list[str]:
    return [point for point in failpoint.POINTS if point.startswith(STEPS[step])]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab.new(tmp_path_factory.mktemp("crash")) as made:
        yield made


def live(node: Lab, name: str, begin: Callable[[str], None] = lambda step: None) -> int:
    """Lead one Pod through its life, each call until it succeeds; return its container's exit code.

    begin: called with the name of each step before it.
    """
    begin("image")
    node.call("Import", transfer_pb2.ImportRequest(path=str(node.directory / "busybox.tar")))
    begin("run")
    request = lab.request_for(name, node.directory)
    pod = node.call("RunPodSandbox", request).pod_sandbox_id
    begin("create")
    options = pb.NamespaceOption(pid=pb.POD)
    config = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name="main"),
        image=pb.ImageSpec(image=IMAGE),
        command=["sh", "-c", SLEEP],
        log_path="main/0.log",
        linux=pb.LinuxContainerConfig(
            security_context=pb.LinuxContainerSecurityContext(namespace_options=options)
        ),
    )
    creation = pb.CreateContainerRequest(pod_sandbox_id=pod, config=config, sandbox_config=request.config)
    main = node.call("CreateContainer", creation).container_id
    begin("start")
    node.start_container(main)
    wait_for(lambda: node.log(name, "main") == ["ready"])
    begin("stop")
    node.call("StopContainer", pb.StopContainerRequest(container_id=main, timeout=10))
    status = node.call("ContainerStatus", pb.ContainerStatusRequest(container_id=main)).status
    assert status.state == pb.CONTAINER_EXITED
    begin("remove")
    node.call("RemoveContainer", pb.RemoveContainerRequest(container_id=main))
    begin("stop_sandbox")
    node.call("StopPodSandbox", pb.StopPodSandboxRequest(pod_sandbox_id=pod))
    begin("remove_sandbox")
    node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod))
    begin("")
    return int(status.exit_code)


class Ambush:
    """Arms one failpoint before each step of a life, and sees to it that it was met."""

    def __init__(self, node: Lab, victims: Sequence[str], row: Sequence[str | None]) -> None:
        self._node = node
        self._victims = victims
        self._armed = dict(zip(STEPS, row, strict=True))
        self._last: str | None = None

    def begin(self, step: str) -> None:
        if self._last:
            assert not self._node.is_armed(self._last), f"{self._last} was not reached"
        self._last = self._armed.get(step)
        if self._last:
            self._node.kill_at(self._last, *self._victims)


@pytest.mark.parametrize("victims", VICTIMS)
def test_a_kill_at_any_step_is_recovered_from(node: Lab, victims: str) -> None:
    live(node, f"before-{victims}")
    before = node.baseline()
    for number, row in enumerate(itertools.zip_longest(*map(points, STEPS))):
        if not lab.IS_WHOLE and (number + lab.SEED) % len(VICTIMS) != list(VICTIMS).index(victims):
            continue
        code = live(node, f"{victims}-{number}", Ambush(node, VICTIMS[victims], row).begin)
        what = f"{victims} killed at {[point for point in row if point]}"
        # Without a keeper nobody inherits the process: an exit in between is known to nobody (README).
        unseen = {"supervisor.kill_sent", "supervisor.exit_seen"} & {*row} or not lab.KEEPS_EXITS
        assert code == 7 or (victims == "all" and unseen and code == 255), f"{what}: exit code {code}"
        node.assert_unchanged(before, what)


def test_every_failpoint_belongs_to_a_step_and_was_reached(node: Lab) -> None:
    assert sorted(itertools.chain.from_iterable(map(points, STEPS))) == sorted(failpoint.POINTS)
    assert node.reached() == set(failpoint.POINTS)
