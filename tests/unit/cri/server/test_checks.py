"""What requests are refused, and how failures become gRPC codes."""

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from cri import config as configuration
from cri import faults
from cri.api import runtime_pb2 as pb
from cri.bundle.build import BuildError
from cri.images import errors as image_errors
from cri.images.image import Image
from cri.network import files, plugin
from cri.runtime import faults as supervisor
from cri.server import cgroups, create_container, errors, pull_image, run_pod_sandbox, status
from cri.store import records, store

METADATA = pb.PodSandboxMetadata(name="p", uid="u", namespace="n")


def pod(**options: object) -> pb.PodSandboxConfig:
    security = pb.LinuxSandboxSecurityContext(namespace_options=pb.NamespaceOption(**options))  # type: ignore[arg-type]
    return pb.PodSandboxConfig(metadata=METADATA, linux=pb.LinuxPodSandboxConfig(security_context=security))


@pytest.mark.parametrize(
    "request_",
    [
        pb.RunPodSandboxRequest(),
        pb.RunPodSandboxRequest(config=pod(), runtime_handler="kata"),
        pb.RunPodSandboxRequest(config=pb.PodSandboxConfig(metadata=METADATA, hostname="a b")),
        pb.RunPodSandboxRequest(config=pod(network=pb.CONTAINER)),
        pb.RunPodSandboxRequest(config=pod(userns_options=pb.UserNamespace(mode=pb.POD))),
        pb.RunPodSandboxRequest(config=pod(userns_options=pb.UserNamespace(mode=pb.TARGET))),
    ],
)
def test_a_sandbox_that_cannot_be_honoured_is_refused(request_: pb.RunPodSandboxRequest) -> None:
    with pytest.raises((faults.RuntimeFault, files.InvalidValue)) as caught:
        run_pod_sandbox.check(request_)
    assert errors.status(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, str(caught.value))


def test_a_sandbox_may_name_a_runtime_handler_of_the_configuration() -> None:
    request = pb.RunPodSandboxRequest(config=pod(), runtime_handler="runc")
    run_pod_sandbox.check(request, ("runc",))
    with pytest.raises(faults.RuntimeFault, match="no runtime handler 'runc'"):
        run_pod_sandbox.check(request, ("runsc",))


def test_the_nodes_user_namespace_may_be_named() -> None:
    run_pod_sandbox.check(pb.RunPodSandboxRequest(config=pod(userns_options=pb.UserNamespace(mode=pb.NODE))))


@pytest.mark.parametrize(
    ("config", "kinds"),
    [
        (pb.PodSandboxConfig(), ["net", "uts", "ipc"]),
        (pod(network=pb.NODE), ["ipc"]),
        (pod(ipc=pb.NODE), ["net", "uts"]),
        (pod(network=pb.NODE, ipc=pb.NODE), []),
    ],
)
def test_a_sandbox_gets_the_namespaces_it_does_not_share(
    config: pb.PodSandboxConfig, kinds: list[str]
) -> None:
    assert run_pod_sandbox.namespace_kinds(config) == kinds


def test_a_cgroup_is_the_kubelets_or_ours() -> None:
    ours = pb.PodSandboxConfig()
    theirs = pb.PodSandboxConfig(linux=pb.LinuxPodSandboxConfig(cgroup_parent="/kubepods/podu"))
    assert cgroups.of_sandbox("/root/", ours, "s") == "root/pods/s"
    assert cgroups.of_sandbox("root", theirs, "s") == "kubepods/podu"
    assert (cgroups.is_own(ours), cgroups.is_own(theirs)) == (True, False)
    for bad in ("/a/../../b", "a\x00b"):
        with pytest.raises(faults.RuntimeFault, match="leaves"):
            cgroups.of_sandbox(
                "r", pb.PodSandboxConfig(linux=pb.LinuxPodSandboxConfig(cgroup_parent=bad)), "s"
            )


def test_a_log_stays_in_its_directory() -> None:
    directory = pb.PodSandboxConfig(log_directory="/var/log/pods/p")
    assert (
        create_container.log_path(directory, pb.ContainerConfig(log_path="c/0.log"))
        == "/var/log/pods/p/c/0.log"
    )
    assert create_container.log_path(directory, pb.ContainerConfig()) == ""
    assert create_container.log_path(pb.PodSandboxConfig(), pb.ContainerConfig(log_path="c")) == ""
    for bad in ("../q/0.log", "/etc/passwd", "."):
        with pytest.raises(faults.RuntimeFault, match="outside"):
            create_container.log_path(directory, pb.ContainerConfig(log_path=bad))


@pytest.mark.parametrize(
    ("asked", "image", "expected"),
    [
        (pb.SIGUSR1, "SIGQUIT", "SIGUSR1"),
        (pb.RUNTIME_DEFAULT, "SIGQUIT", "SIGQUIT"),
        (pb.RUNTIME_DEFAULT, "SIGRTMIN+3", "SIGRTMINPLUS3"),
        (pb.RUNTIME_DEFAULT, "term", "SIGTERM"),
        (pb.RUNTIME_DEFAULT, "", "SIGTERM"),
    ],
)
def test_the_stop_signal_is_the_requests_else_the_images(asked: pb.Signal, image: str, expected: str) -> None:
    found = Image("i", (), (), 0, {"config": {"StopSignal": image}}, ())
    assert create_container.stop_signal(pb.ContainerConfig(stop_signal=asked), found) == expected


def test_an_unknown_stop_signal_is_refused() -> None:
    config = pb.ContainerConfig()
    config.stop_signal = 99  # type: ignore[assignment]
    with pytest.raises(faults.RuntimeFault, match="unknown"):
        create_container.stop_signal(config, Image("i", (), (), 0, {}, ()))


def test_an_image_volume_is_read_only_and_nothing_else() -> None:
    volume = pb.Mount(container_path="/d", readonly=True, image=pb.ImageSpec(image="data"))
    assert create_container.volume_reference(volume) == "data"
    for bad in (pb.Mount(image=volume.image), pb.Mount(image=volume.image, readonly=True, host_path="/x")):
        with pytest.raises(faults.RuntimeFault):
            create_container.volume_reference(bad)


@pytest.mark.parametrize(
    ("err", "code"),
    [
        (faults.not_found("sandbox", "x"), grpc.StatusCode.NOT_FOUND),
        (faults.precondition("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (supervisor.RuntimeFault(supervisor.UNAVAILABLE, "x"), grpc.StatusCode.UNAVAILABLE),
        (supervisor.RuntimeFault(supervisor.DEADLINE_EXCEEDED, "x"), grpc.StatusCode.DEADLINE_EXCEEDED),
        (image_errors.not_found("x"), grpc.StatusCode.NOT_FOUND),
        (image_errors.corrupt("x"), grpc.StatusCode.DATA_LOSS),
        (BuildError("x"), grpc.StatusCode.INVALID_ARGUMENT),
        (plugin.PluginError("x"), grpc.StatusCode.UNKNOWN),
        (FileNotFoundError(2, "no such file", str(Path("/x"))), grpc.StatusCode.INTERNAL),
    ],
)
def test_each_failure_has_one_code(err: Exception, code: grpc.StatusCode) -> None:
    assert errors.status(err) == (code, str(err))


def test_a_bug_is_no_failure_of_the_client() -> None:
    assert errors.status(KeyError("x")) is None
    assert {kind.name for kind in faults.Kind} <= {code.name for code in grpc.StatusCode}
    assert {kind.name for kind in image_errors.Kind} <= {code.name for code in grpc.StatusCode}


def test_a_seccomp_profile_is_a_plain_file_of_a_bounded_size(tmp_path: Path) -> None:
    good, pipe, large = (tmp_path / name for name in ("good", "pipe", "large"))
    good.write_bytes(b"{}")
    os.mkfifo(pipe)
    large.write_bytes(b" " * ((1 << 20) + 1))
    assert create_container._read_profile(str(good)) == b"{}"
    for path in (pipe, large, tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match=path.name):
            create_container._read_profile(str(path))


def test_a_pid_namespace_is_joined_within_the_pod(tmp_path: Path) -> None:
    containers = store.Store(tmp_path).containers
    for identity, sandbox in (("abc1", "s1"), ("def2", "s2")):
        config = pb.ContainerConfig(metadata=pb.ContainerMetadata(name=identity))
        made = records.Container(identity, sandbox, config, "i")
        containers.reserve(made, identity)
        containers.update(
            identity, lambda old: dataclasses.replace(old, state=records.ContainerState.RUNNING)
        )
    env = cast(Any, SimpleNamespace(store=SimpleNamespace(containers=containers)))
    assert create_container.target(env, "abc", "s1") == "abc1"
    for identity, kind in (("def2", faults.Kind.INVALID_ARGUMENT), ("nope", faults.Kind.NOT_FOUND)):
        with pytest.raises(faults.RuntimeFault) as caught:
            create_container.target(env, identity, "s1")
        assert caught.value.kind is kind


def test_a_pull_for_an_unknown_runtime_handler_is_refused() -> None:
    request = pb.PullImageRequest(image=pb.ImageSpec(image="a", runtime_handler="kata"))
    env = SimpleNamespace(config=configuration.Config(runtime_handlers=("runc",)))
    with pytest.raises(faults.RuntimeFault, match="no runtime handler"):
        pull_image.handle(cast(Any, env), request, cast(Any, None))


def test_status_names_every_runtime_handler() -> None:
    client = SimpleNamespace(list=list)
    network = SimpleNamespace(config=lambda: None)
    config = configuration.Config(runtime_handlers=("runc",))
    env = cast(Any, SimpleNamespace(client=client, network=network, config=config))
    answer = status.handle(env, pb.StatusRequest(), cast(Any, None))
    assert [handler.name for handler in answer.runtime_handlers] == ["", "runc"]
    assert all(handler.features.recursive_read_only_mounts for handler in answer.runtime_handlers)
