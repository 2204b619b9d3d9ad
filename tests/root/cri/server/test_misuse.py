"""What careless or hostile clients ask for by single good fields: the right code, soon, and nothing left.

test_hostile.py puts the same few values into every field; here each request is wrong in its own way.
"""

import time
from collections.abc import Callable, Iterator
from concurrent import futures
from functools import partial
from typing import Any

import grpc
import pytest

from cri.api import runtime_pb2 as pb
from tests.root.cri.server import lab
from tests.root.cri.server.conftest import IMAGE, PATIENCE_S
from tests.root.cri.server.lab import Lab
from tests.root.cri.server.test_hostile import creation

pytestmark = pytest.mark.root

Code = grpc.StatusCode
INVALID = Code.INVALID_ARGUMENT
PodChange = Callable[[pb.PodSandboxConfig], Any]
Change = Callable[[pb.ContainerConfig], Any]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab.new(tmp_path_factory.mktemp("misuse")) as made:
        first = made.call("RunPodSandbox", lab.request_for("first", made.directory)).pod_sandbox_id
        made.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=first))
        yield made


def code_of(call: Callable[[], Any]) -> Code:
    try:
        call()
    except grpc.RpcError as err:
        return lab.code_of(err)
    return Code.OK


def sysctl(name: str, value: str) -> PodChange:
    return lambda config: config.linux.sysctls.update({name: value})


def annotations(count: int, size: int) -> PodChange:
    return lambda config: config.annotations.update({f"a{n}": "x" * size for n in range(count)})


def log_directory(path: str) -> PodChange:
    return lambda config: setattr(config, "log_directory", path)


def nameserver(text: str) -> PodChange:
    return lambda config: config.dns_config.servers.append(text)


SANDBOXES: dict[str, tuple[PodChange, Code]] = {
    "a log directory that is a file": (log_directory("/etc/passwd"), INVALID),
    "a log directory below a file": (log_directory("/etc/passwd/x"), INVALID),
    "a log directory that nobody can make": (log_directory("/proc/1/x"), INVALID),
    "a sysctl's wrong value": (sysctl("net.ipv4.ip_forward", "x"), INVALID),
    "a sysctl that is a directory": (sysctl("net.ipv4", "1"), INVALID),
    "a sysctl that is not there": (sysctl("net.ipv4.nope", "1"), INVALID),
    "a second line of resolv.conf": (nameserver("1.1.1.1\nnameserver 6.6.6.6"), INVALID),
    "a large annotation": (annotations(1, 1 << 20), Code.OK),
    "many annotations": (annotations(20_000, 10), Code.OK),
    "the last attempt": (lambda config: setattr(config.metadata, "attempt", 2**32 - 1), Code.OK),
}


def test_sandboxes_at_once(node: Lab) -> None:
    before = node.baseline()

    def ask(name: str) -> Code:
        request = lab.request_for(name.replace(" ", "-").replace("'", ""), node.directory)
        SANDBOXES[name][0](request.config)
        return code_of(lambda: node.runtime.RunPodSandbox(request, timeout=PATIENCE_S))

    with futures.ThreadPoolExecutor(len(SANDBOXES)) as pool:
        codes = dict(zip(SANDBOXES, pool.map(ask, SANDBOXES), strict=True))
    assert codes == {name: code for name, (_, code) in SANDBOXES.items()}
    for sandbox in node.call("ListPodSandbox", pb.ListPodSandboxRequest()).items:
        node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox.id))
    node.assert_unchanged(before)


def mount(target: str, source: str = "/tmp") -> Change:
    return lambda config: config.mounts.add(container_path=target, host_path=source)


def device(source: str, **fields: str) -> Change:
    return lambda config: config.devices.add(host_path=source, **fields)


def masked(*paths: str) -> Change:
    return lambda config: config.linux.security_context.masked_paths.extend(paths)


def limits(**fields: Any) -> Change:
    return lambda config: config.linux.resources.MergeFrom(pb.LinuxContainerResources(**fields))


def words(count: int, size: int) -> Change:
    return lambda config: config.args.extend(["x" * size] * count)


def target(identity: str) -> Change:
    options = pb.NamespaceOption(pid=pb.TARGET, target_id=identity)
    return lambda config: config.linux.security_context.namespace_options.CopyFrom(options)


# What the first refusal of CreateContainer or StartContainer is.
CONTAINERS: dict[str, tuple[Change, Code]] = {
    "a megabyte as argument": (words(1, 1 << 20), INVALID),
    "three hundred thousand arguments": (words(300_000, 1), INVALID),
    "a mount twice": (lambda config: (mount("/m")(config), mount("/m")(config)), Code.OK),
    "a mount over the root": (mount("/."), INVALID),
    "a mount below proc": (mount("/proc/1"), INVALID),
    "a mount over dev": (mount("/dev"), INVALID),
    "a relative mount": (mount("../../m"), Code.OK),
    "a directory over a file": (mount("/bin/busybox"), INVALID),
    "a descriptor as source": (mount("/m", "/proc/self/fd/0"), INVALID),
    "a device's other permissions": (device("/dev/null", permissions="rr"), INVALID),
    "a device's second rule": (device("/dev/null", permissions="r\na *:* rwm"), INVALID),
    "a device that is a file": (device("/etc/passwd"), INVALID),
    "a relative device": (device("dev/null"), INVALID),
    "a device that is a device class": (lambda config: config.CDI_devices.add(name="a.b/c=d"), INVALID),
    "a working directory that is a file": (lambda c: setattr(c, "working_dir", "/bin/busybox"), INVALID),
    "a log below a log": (lambda c: setattr(c, "log_path", "c/0.log/x"), INVALID),
    "the same mask ten thousand times": (masked(*["/etc"] * 10_000), Code.OK),
    "processors that are not there": (limits(cpuset_cpus="999"), INVALID),
    "pages of no size": (limits(hugepage_limits=[pb.HugepageLimit(page_size="3MB")]), INVALID),
    "an unknown PID target": (target("nope"), Code.NOT_FOUND),
    "no PID target": (target(""), INVALID),
}


def test_containers_at_once(node: Lab) -> None:
    request = lab.request_for("pod", node.directory)
    pod = node.call("RunPodSandbox", request).pod_sandbox_id
    victim = node.call("CreateContainer", creation(pod, request.config, "victim")).container_id
    node.start_container(victim)
    (node.directory / "logs/pod/c").mkdir(parents=True, exist_ok=True)

    def ask(name: str) -> Code:
        wanted = creation(pod, request.config, name)
        CONTAINERS[name][0](wanted.config)
        made: list[str] = []

        def create() -> None:
            made.append(node.runtime.CreateContainer(wanted, timeout=PATIENCE_S).container_id)
            node.runtime.StartContainer(pb.StartContainerRequest(container_id=made[0]), timeout=PATIENCE_S)

        code = code_of(create)
        for identity in made:
            node.call("RemoveContainer", pb.RemoveContainerRequest(container_id=identity))
        return code

    with futures.ThreadPoolExecutor(4) as pool:
        codes = dict(zip(CONTAINERS, pool.map(ask, CONTAINERS), strict=True))
    assert codes == {name: code for name, (_, code) in CONTAINERS.items()}
    assert node.execute(victim, "echo alive").stdout == b"alive\n"
    assert len(node.call("ListContainers", pb.ListContainersRequest()).containers) == 1
    node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod))


def test_another_pods_processes_are_not_joined(node: Lab) -> None:
    pods = []
    for name in ("one", "two"):
        request = lab.request_for(name, node.directory)
        pods.append((node.call("RunPodSandbox", request).pod_sandbox_id, request.config))
    main = node.call("CreateContainer", creation(*pods[0], "main")).container_id
    node.start_container(main)
    wanted = creation(*pods[1], "debug")
    target(main)(wanted.config)
    assert code_of(lambda: node.runtime.CreateContainer(wanted)) is INVALID
    beside = creation(*pods[0], "debug")
    target(main[:12])(beside.config)
    debug = node.call("CreateContainer", beside).container_id
    assert node.call("CreateContainer", beside).container_id == debug  # a retry is known by its prefix
    node.start_container(debug)
    assert node.execute(debug, "cat /proc/1/cmdline").stdout == b"sleep\x001000\x00"
    for pod, _ in pods:
        node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod))


def test_who_listens_and_who_waits_do_not_hold_up_a_question(node: Lab) -> None:
    request = lab.request_for("busy", node.directory)
    pod = node.call("RunPodSandbox", request).pod_sandbox_id
    main = node.call("CreateContainer", creation(pod, request.config, "main")).container_id
    node.start_container(main)
    streams = [node.runtime.GetContainerEvents(pb.GetEventsRequest()) for _ in range(100)]
    stop = pb.StopContainerRequest(container_id=main, timeout=600)  # PID 1 heeds no SIGTERM
    stops = [node.runtime.StopContainer.future(stop, timeout=5) for _ in range(200)]
    end = time.monotonic() + 3  # meanwhile they hold what threads they can
    while time.monotonic() < end:
        time.sleep(0.2)
        node.call("Version", pb.VersionRequest())
        assert node.status(main).state == pb.CONTAINER_RUNNING
    for call in (*streams, *stops):
        call.cancel()
    node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod))


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image="a" * (1 << 20)))),
        ("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image=IMAGE, runtime_handler="nope"))),
        ("PullImage", pb.PullImageRequest(image=pb.ImageSpec(image="a:b\0c"))),
    ],
)
def test_pulls(node: Lab, method: str, request_: Any) -> None:
    assert code_of(partial(getattr(node.image, method), request_, timeout=PATIENCE_S)) is INVALID
