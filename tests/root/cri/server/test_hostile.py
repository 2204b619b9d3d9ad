"""Whatever a client sends, the answer is a status that says whose fault it is, and the daemons live on."""

import itertools
from collections.abc import Iterator
from typing import Any, cast

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor as Kind
from google.protobuf.message import Message

from cri.api import runtime_pb2 as pb
from tests.root.cri.server import lab
from tests.root.cri.server.conftest import IMAGE, PATIENCE_S
from tests.root.cri.server.lab import Lab

pytestmark = pytest.mark.root

Code = grpc.StatusCode
# UNAVAILABLE: there is nothing to ask (a registry). Never UNKNOWN or INTERNAL: those are bugs of ours.
PROPER = {
    Code.OK,
    Code.INVALID_ARGUMENT,
    Code.NOT_FOUND,
    Code.FAILED_PRECONDITION,
    Code.ALREADY_EXISTS,
    Code.RESOURCE_EXHAUSTED,
    Code.UNIMPLEMENTED,
    Code.UNAVAILABLE,
}
TEXTS = ("", "a\x00b", "../../../../etc", "x" * 5000, "\n", "🦀", "-1")
NUMBERS = (-1, 2**31 - 1, -(2**63), 2**63 - 1)
SERVICES = pb.DESCRIPTOR.services_by_name
METHODS = [method for name in ("RuntimeService", "ImageService") for method in SERVICES[name].methods]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab.new(tmp_path_factory.mktemp("hostile")) as made:
        yield made


def ask(node: Lab, method: str, request: Message) -> Code:
    """Call once and return the code; a stream is read to its end, or its first wait."""
    call = getattr(node.runtime, method, None) or getattr(node.image, method)
    try:
        answer = call(request, timeout=0.3 if method == "GetContainerEvents" else PATIENCE_S)
        if isinstance(answer, grpc.Call):
            for _ in cast(Iterator[Any], answer):
                pass
    except grpc.RpcError as err:
        code = lab.code_of(err)
        return Code.OK if method == "GetContainerEvents" and code is Code.DEADLINE_EXCEEDED else code
    return Code.OK


def message_of(method: Any) -> Any:
    return getattr(pb, method.input_type.name)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.name))
def test_an_empty_request_has_a_proper_answer(node: Lab, method: Any) -> None:
    assert ask(node, method.name, message_of(method)()) in PROPER


EMPTY_IS_INVALID = [
    "RunPodSandbox", "StopPodSandbox", "RemovePodSandbox", "PodSandboxStatus", "CreateContainer",
    "StartContainer", "StopContainer", "RemoveContainer", "ContainerStatus", "UpdateContainerResources",
    "ReopenContainerLog", "ExecSync", "Exec", "Attach", "PortForward", "ContainerStats", "PodSandboxStats",
    "UpdatePodSandboxResources", "PullImage", "ImageStatus", "RemoveImage",
]  # fmt: skip
UNKNOWN_IS_FINE = {"StopPodSandbox", "RemovePodSandbox", "StopContainer", "RemoveContainer"}


@pytest.mark.parametrize("name", EMPTY_IS_INVALID)
def test_what_names_nothing_is_invalid(node: Lab, name: str) -> None:
    method = next(method for method in METHODS if method.name == name)
    assert ask(node, name, message_of(method)()) is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("unknown", ["nope", "f" * 64, "../x", "a\x00"])
def test_an_unknown_id_is_not_found(node: Lab, unknown: str) -> None:
    for method in METHODS:
        request = message_of(method)()
        fields = [f.name for f in method.input_type.fields if f.name in ("container_id", "pod_sandbox_id")]
        if not fields or method.name == "CheckpointContainer":
            continue
        setattr(request, fields[0], unknown)
        if method.name in ("ExecSync", "Exec"):
            request.cmd.append("true")
        wanted = Code.OK if method.name in UNKNOWN_IS_FINE else Code.NOT_FOUND
        assert ask(node, method.name, request) is wanted, method.name


def mutants(message: Message, path: str = "") -> Iterator[tuple[str, Message]]:
    """Yield copies of a message that each have one hostile value, at any depth."""
    for field in message.DESCRIPTOR.fields:
        here = f"{path}.{field.name}"
        for value in values(field):
            copy = type(message)()
            copy.CopyFrom(message)
            put(copy, field, value)
            yield f"{here}={str(value)[:20]!r}", copy
        if field.type == Kind.TYPE_MESSAGE and not is_map(field):
            is_many = field.is_repeated
            inner = type(message)()
            target = getattr(inner, field.name).add() if is_many else getattr(inner, field.name)
            if not is_many:
                target.CopyFrom(getattr(message, field.name))
            if len(here.split(".")) > 6:
                continue
            for name, changed in mutants(target, here):
                copy = type(message)()
                copy.CopyFrom(message)
                if is_many:
                    getattr(copy, field.name).add().CopyFrom(changed)
                else:
                    getattr(copy, field.name).CopyFrom(changed)
                yield name, copy


def is_map(field: Any) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def values(field: Any) -> tuple[Any, ...]:
    if field.type == Kind.TYPE_STRING:
        return TEXTS
    if field.type == Kind.TYPE_BOOL:
        return (True,)
    if field.type == Kind.TYPE_ENUM:
        return (0, 99, -1)
    if field.type in (Kind.TYPE_INT64, Kind.TYPE_INT32, Kind.TYPE_UINT32):
        return NUMBERS
    return TEXTS if is_map(field) else ()


def put(message: Message, field: Any, value: Any) -> None:
    if field.type in (Kind.TYPE_INT32, Kind.TYPE_UINT32):
        low = 0 if field.type == Kind.TYPE_UINT32 else -(2**31)
        value = max(low, min(value, 2**31 - 1))
    if is_map(field):
        getattr(message, field.name)[value] = value
    elif field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


def creation(pod: str, config: pb.PodSandboxConfig, name: str) -> pb.CreateContainerRequest:
    options = pb.NamespaceOption(pid=pb.CONTAINER)
    security = pb.LinuxContainerSecurityContext(namespace_options=options)
    wanted = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=name),
        image=pb.ImageSpec(image=IMAGE),
        command=["sleep", "1000"],
        log_path="c/0.log",
        linux=pb.LinuxContainerConfig(security_context=security),
    )
    return pb.CreateContainerRequest(pod_sandbox_id=pod, config=wanted, sandbox_config=config)


def base_requests(
    node: Lab, pod: str, container: str, config: pb.PodSandboxConfig
) -> list[tuple[str, Message]]:
    """Return a good request of each method that takes a sandbox or a container."""
    stdio = {"stdout": True, "stderr": True}
    return [
        ("CreateContainer", creation(pod, config, "mutant")),
        ("RunPodSandbox", lab.request_for("mutant", node.directory)),
        ("StartContainer", pb.StartContainerRequest(container_id=container)),
        ("ContainerStatus", pb.ContainerStatusRequest(container_id=container)),
        ("PodSandboxStatus", pb.PodSandboxStatusRequest(pod_sandbox_id=pod)),
        ("UpdateContainerResources", pb.UpdateContainerResourcesRequest(container_id=container)),
        ("UpdatePodSandboxResources", pb.UpdatePodSandboxResourcesRequest(pod_sandbox_id=pod)),
        ("ExecSync", pb.ExecSyncRequest(container_id=container, cmd=["true"], timeout=5)),
        ("Exec", pb.ExecRequest(container_id=container, cmd=["true"], **stdio)),
        ("Attach", pb.AttachRequest(container_id=container, **stdio)),
        ("PortForward", pb.PortForwardRequest(pod_sandbox_id=pod, port=[80])),
        ("ListContainers", pb.ListContainersRequest()),
        ("ListPodSandbox", pb.ListPodSandboxRequest()),
        ("ListContainerStats", pb.ListContainerStatsRequest()),
        ("ListPodSandboxStats", pb.ListPodSandboxStatsRequest()),
        ("ListImages", pb.ListImagesRequest()),
        ("ImageStatus", pb.ImageStatusRequest(image=pb.ImageSpec(image=IMAGE))),
        ("UpdateRuntimeConfig", pb.UpdateRuntimeConfigRequest()),
        ("ReopenContainerLog", pb.ReopenContainerLogRequest(container_id=container)),
        ("CheckpointContainer", pb.CheckpointContainerRequest(container_id=container, location="/x")),
    ]


def test_hostile_values_are_refused_or_harmless(node: Lab) -> None:
    request = lab.request_for("first", node.directory)
    first = node.call("RunPodSandbox", request).pod_sandbox_id
    node.call("CreateContainer", creation(first, request.config, "first"))
    node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=first))
    before = node.baseline()
    daemons = {name: node.pid(name) for name in (*lab.DAEMONS, "server")}
    request = lab.request_for("victim", node.directory)
    pod = node.call("RunPodSandbox", request).pod_sandbox_id
    container = node.call("CreateContainer", creation(pod, request.config, "main")).container_id
    node.start_container(container)
    wrong = []
    for method, base in base_requests(node, pod, container, request.config):
        # A mutant that passes costs a Pod's or a container's life.
        share = 3 if method in ("CreateContainer", "RunPodSandbox") and not lab.IS_WHOLE else 1
        for name, mutant in itertools.islice(mutants(base), lab.SEED % share, None, share):
            code = ask(node, method, mutant)
            if code not in PROPER:
                wrong.append(f"{method} {name}: {code}")
            if code is Code.OK and method in ("CreateContainer", "RunPodSandbox"):
                tidy(node, pod, container)
    assert wrong == []
    assert node.execute(container, "echo alive").stdout == b"alive\n"
    node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod))
    assert {name: node.pid(name) for name in daemons} == daemons
    assert "Traceback" not in (node.directory / "server.log").read_text()
    node.assert_unchanged(before)


def tidy(node: Lab, pod: str, container: str) -> None:
    for made in node.call("ListContainers", pb.ListContainersRequest()).containers:
        if made.id != container:
            ask(node, "StartContainer", pb.StartContainerRequest(container_id=made.id))
            node.call("RemoveContainer", pb.RemoveContainerRequest(container_id=made.id))
    for sandbox in node.call("ListPodSandbox", pb.ListPodSandboxRequest()).items:
        if sandbox.id != pod:
            node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox.id))


def test_extreme_timeouts_do_no_harm(node: Lab) -> None:
    request = lab.request_for("timeouts", node.directory)
    pod = node.call("RunPodSandbox", request).pod_sandbox_id
    container = node.call("CreateContainer", creation(pod, request.config, "main")).container_id
    node.start_container(container)
    for timeout in (-(2**63), -1, 2**63 - 1):
        command = pb.ExecSyncRequest(container_id=container, cmd=["true"], timeout=timeout)
        assert ask(node, "ExecSync", command) is Code.OK
    with pytest.raises(grpc.RpcError) as late:
        node.runtime.StopContainer(
            pb.StopContainerRequest(container_id=container, timeout=2**63 - 1), timeout=0.3
        )
    assert lab.code_of(late.value) is Code.DEADLINE_EXCEEDED
    assert node.execute(container, "echo alive").stdout == b"alive\n"  # PID 1 heeds no SIGTERM
    assert ask(node, "StopContainer", pb.StopContainerRequest(container_id=container, timeout=-5)) is Code.OK
    assert node.status(container).exit_code == 137
    node.call("RemovePodSandbox", pb.RemovePodSandboxRequest(pod_sandbox_id=pod))
