"""What the verbose status tells, and under which reference an image is shown."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cri import faults
from cri.api import runtime_pb2 as pb
from cri.bundle import capabilities, spec
from cri.images.image import Image
from cri.server import checkpoint_container, container_status, pod_sandbox_status, present, runtime_spec
from cri.server.create_container import image_reference
from cri.store import records

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64

POD = records.Sandbox(
    "s1",
    pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name="web")),
    state=records.SandboxState.READY,
    namespaces={"net": "/run/ns/s1/net", "user": "/run/ns/s1/user"},
)
CONTAINER = records.Container(
    "c1", "s1", pb.ContainerConfig(log_path="c.log"), "sha256:1", state=records.ContainerState.RUNNING
)


def test_a_specification_is_shown_in_the_form_tools_know() -> None:
    process = spec.Process(
        argv=("sleep", "1"),
        env=("A=1",),
        user=spec.User(1000, 100, (5,)),
        capabilities=spec.Capabilities(bounding=capabilities.mask(["NET_RAW", "KILL"])),
        rlimits=(spec.Rlimit("NOFILE", 10, 20),),
        no_new_privs=True,
    )
    made = spec.Spec(
        id="c1",
        sandbox_id="s1",
        process=process,
        rootfs=spec.Rootfs(("/l",), "/u", "/w", readonly=True),
        cgroup="pods/u/c1",
        mounts=(
            spec.Mount("/data", "/host", readonly=True, propagation="slave", idmapped=True),
            spec.Mount("/tmp", kind="tmpfs", options=("size=1m",)),
        ),
        namespaces=spec.Namespaces(net="/ns/net", user="/ns/user", uid_map=((0, 65536, 10),)),
        resources=spec.Resources(memory_limit=1 << 20, cpu_shares=512),
        masked_paths=("/proc/kcore",),
    )
    shown = runtime_spec.of_container(spec.to_wire(made))
    assert json.loads(json.dumps(shown)) == shown
    assert shown["process"]["args"] == ["sleep", "1"]
    assert shown["process"]["user"] == {"uid": 1000, "gid": 100, "additionalGids": [5]}
    assert sorted(shown["process"]["capabilities"]["bounding"]) == ["CAP_KILL", "CAP_NET_RAW"]
    assert shown["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}]
    assert [mount["options"] for mount in shown["mounts"]] == [
        ["rbind", "rslave", "ro", "ridmap"],
        ["size=1m"],
    ]
    linux = shown["linux"]
    assert linux["cgroupsPath"] == "/pods/u/c1"
    assert {"type": "network", "path": "/ns/net"} in linux["namespaces"]
    assert {"type": "pid"} in linux["namespaces"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 65536, "size": 10}]
    assert linux["resources"] == {"memory": {"limit": 1 << 20}, "cpu": {"shares": 512}}


def test_verbose_answers_hold_configs_and_where_the_network_is() -> None:
    info = json.loads(present.sandbox_info(POD)["info"])
    assert info["config"]["metadata"]["name"] == "web"
    kinds = {item["type"]: item.get("path") for item in info["runtimeSpec"]["linux"]["namespaces"]}
    assert (kinds["network"], kinds["user"]) == ("/run/ns/s1/net", "/run/ns/s1/user")
    info = json.loads(present.container_info(CONTAINER, 7, {})["info"])
    assert (info["pid"], info["config"]["log_path"]) == (7, "c.log")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("busybox:1", f"docker.io/library/busybox@{A}"),
        (f"mirror.test/busybox@{B}", f"mirror.test/busybox@{B}"),
        ("sha256:1", f"docker.io/library/busybox@{A}"),
        ("elsewhere.test/x:1", f"docker.io/library/busybox@{A}"),
    ],
)
def test_an_image_is_shown_by_digest_in_the_repository_it_was_asked_for_by(
    wanted: str, expected: str
) -> None:
    digests = (f"docker.io/library/busybox@{A}", f"mirror.test/busybox@{B}")
    image = Image("sha256:1", (), digests, 1, {}, ())
    assert image_reference(image, wanted) == expected
    assert image_reference(dataclasses.replace(image, repo_digests=()), wanted) == ""


def test_a_status_shows_the_reference_or_else_the_id() -> None:
    named = dataclasses.replace(CONTAINER, image_ref=f"a.test/x@{A}")
    shown = present.container_status(named)
    assert (shown.image_ref, shown.image_id) == (f"a.test/x@{A}", "sha256:1")
    assert present.container_status(CONTAINER).image_ref == "sha256:1"


def test_a_container_of_an_older_version_is_shown_without_its_specification() -> None:
    env = FakeEnvironment()
    request = pb.ContainerStatusRequest(container_id="c1", verbose=True)
    info = container_status.handle(cast(Any, env), request, cast(Any, None)).info["info"]
    assert (json.loads(info)["runtimeSpec"], json.loads(info)["pid"]) == ({}, 7)


class FakeEnvironment:
    """A store whose reading takes time."""

    def __init__(self) -> None:
        self.time = 100
        self.store = self.sandboxes = self.containers = self.client = self

    def now(self) -> int:
        return self.time

    def get(self, identity: str) -> Any:
        self.time += 50
        return {"s1": POD, "c1": CONTAINER}[identity]

    def state(self, identity: str) -> Any:
        return SimpleNamespace(pid=7, phase="running")

    def spec(self, identity: str) -> Any:
        return {"process": {}}

    def containers_of(self, identity: str) -> list[records.Container]:
        self.time += 50
        return [CONTAINER]


def test_a_status_is_never_older_than_its_timestamp_says() -> None:
    env, request = cast(Any, FakeEnvironment()), pb.PodSandboxStatusRequest(pod_sandbox_id="s1")
    assert pod_sandbox_status.handle(env, request, cast(Any, None)).timestamp == 100


def test_a_checkpoint_is_refused_in_plain_words() -> None:
    request = pb.CheckpointContainerRequest(container_id="c1")
    with pytest.raises(faults.RuntimeFault, match="cannot checkpoint container c1") as caught:
        checkpoint_container.handle(cast(Any, FakeEnvironment()), request, cast(Any, None))
    assert caught.value.kind is faults.Kind.UNIMPLEMENTED
