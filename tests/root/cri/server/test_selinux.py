"""SELinux labels, on a kernel that has it with a policy for containers (scripts/vm-test says how)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from cri.api import runtime_pb2 as pb
from cri.bundle import selinux
from cri.linux import labels
from tests.root.cri.server.conftest import IMAGE, PATIENCE_S, Node

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        selinux.defaults(selinux.HOST) is None,
        reason="the kernel has no SELinux with a policy for containers",
    ),
]

ENFORCE = Path("/sys/fs/selinux/enforce")
SLEEP = "trap 'exit 0' TERM; sleep 1000 & wait"


def security(**fields: Any) -> pb.LinuxContainerConfig:
    options = fields.pop("namespace_options", pb.NamespaceOption(pid=pb.CONTAINER))
    context = pb.LinuxContainerSecurityContext(namespace_options=options, **fields)
    return pb.LinuxContainerConfig(security_context=context)


def info(node: Node, identity: str) -> dict[str, Any]:
    request = pb.ContainerStatusRequest(container_id=identity, verbose=True)
    found: dict[str, Any] = json.loads(node.runtime.ContainerStatus(request, timeout=PATIENCE_S).info["info"])
    return found


def domain(node: Node, identity: str) -> str:
    return labels.current_context(info(node, identity)["pid"])


def label_of(path: str | Path) -> str:
    return os.getxattr(path, "security.selinux", follow_symlinks=False).rstrip(b"\0").decode()


def level(context: str) -> str:
    return context.split(":", 3)[3]


@contextmanager
def pod(node: Node, name: str, **config: Any) -> Iterator[tuple[str, pb.PodSandboxConfig]]:
    made = node.sandbox(name, **config)
    try:
        yield made
    finally:
        node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=made[0]), timeout=PATIENCE_S)


@contextmanager
def enforcing() -> Iterator[None]:
    before = ENFORCE.read_text()
    ENFORCE.write_text("1")
    try:
        yield
    finally:
        ENFORCE.write_text(before)


def test_a_pods_processes_have_its_own_level_and_its_filesystems_too(node: Node) -> None:
    with pod(node, "one") as one, pod(node, "two") as two:
        first = node.container(one, "a", SLEEP)
        second = node.container(one, "b", SLEEP, linux=security(no_new_privs=True))
        other = node.container(two, "a", SLEEP)
        mine, sibling, foreign = (domain(node, identity) for identity in (first, second, other))
        assert mine.startswith("system_u:system_r:container_t:s0:c")
        assert mine == sibling
        assert level(mine) != level(foreign)
        for identity in (first, second):
            assert node.execute(identity, "cat /proc/self/attr/current").stdout.rstrip(b"\0") == mine.encode()
        files = f"system_u:object_r:container_file_t:{level(mine)}"
        root = f"/proc/{info(node, first)['pid']}/root"
        made = node.execute(first, "echo x > /tmp/new; echo x > /dev/shm/new; echo x > /etc/hosts")
        assert made.exit_code == 0, made.stderr
        for path in (
            "/.",
            "/bin/sh",
            "/tmp/new",
            "/dev",
            "/dev/null",
            "/dev/pts",
            "/dev/shm/new",
            "/dev/mqueue",
        ):
            assert (path, label_of(f"{root}{path}")) == (path, files)
        assert label_of(f"{root}/etc/hosts") == "system_u:object_r:container_file_t:s0"
        shown = info(node, first)["runtimeSpec"]
        assert (shown["process"]["selinuxLabel"], shown["linux"]["mountLabel"]) == (mine, files)


def test_parts_asked_for_are_given_and_wrong_ones_are_refused(node: Node) -> None:
    wanted = pb.SELinuxOption(level="s0:c7,c3")
    with pod(
        node, "asked", linux=pb.LinuxPodSandboxConfig(security_context={"selinux_options": wanted})
    ) as made:
        own = node.container(made, "own", SLEEP)
        assert level(domain(node, own)) == "s0:c3,c7"
        options = pb.SELinuxOption(level="s0:c1,c2", type="initrc_t")
        named = node.container(made, "named", SLEEP, linux=security(selinux_options=options))
        assert domain(node, named) == "system_u:system_r:initrc_t:s0:c1,c2"
        for wrong in ({"type": "nosuch_t"}, {"role": "nosuch_r"}, {"level": "s99"}, {"level": "low"}):
            with pytest.raises(grpc.RpcError, match=r"cannot (set|use) SELinux label") as caught:
                node.create(made, "wrong", SLEEP, linux=security(selinux_options=pb.SELinuxOption(**wrong)))
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "fields",
    [
        {"privileged": True},
        {"namespace_options": pb.NamespaceOption(pid=pb.NODE)},
        {"namespace_options": pb.NamespaceOption(pid=pb.CONTAINER, ipc=pb.NODE)},
    ],
    ids=["privileged", "host PID", "host IPC"],
)
def test_what_shares_the_nodes_processes_stays_in_the_runtimes_domain(
    node: Node, fields: dict[str, Any]
) -> None:
    options = fields.get("namespace_options", pb.NamespaceOption())
    config = pb.LinuxPodSandboxConfig(
        security_context={"namespace_options": options, "privileged": "privileged" in fields}
    )
    with pod(node, "free", linux=config) as made:
        identity = node.container(made, "a", SLEEP, linux=security(**fields))
        assert domain(node, identity) == labels.current_context("self")


def test_image_volumes_have_the_containers_label(node: Node) -> None:
    volume = pb.Mount(container_path="/image", readonly=True, image=pb.ImageSpec(image=IMAGE))
    with pod(node, "image") as made:
        identity = node.container(made, "a", SLEEP, mounts=[volume])
        root = f"/proc/{info(node, identity)['pid']}/root"
        assert level(label_of(f"{root}/image/bin/sh")) == level(domain(node, identity))


def test_a_volume_is_relabelled_and_the_policy_keeps_other_pods_out(node: Node, tmp_path: Path) -> None:
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    (volume / "a").mkdir(parents=True)
    (volume / "a" / "file").write_text("mine\n")
    outside.write_text("x")
    (volume / "link").symlink_to(outside)
    before = label_of(outside)
    with pod(node, "mine") as mine, pod(node, "theirs") as theirs:
        relabelled = pb.Mount(container_path="/v", host_path=str(volume), selinux_relabel=True)
        owner = node.container(mine, "a", SLEEP, mounts=[relabelled])
        plain = pb.Mount(container_path="/v", host_path=str(volume))
        other = node.container(theirs, "a", SLEEP, mounts=[plain])
        for path in (volume, volume / "a", volume / "a" / "file", volume / "link"):
            assert level(label_of(path)) == level(domain(node, owner))
        assert label_of(outside) == before
        assert node.execute(other, "cat /v/a/file").stdout == b"mine\n"  # while nothing is enforced
        with enforcing():
            allowed = node.execute(owner, "cat /v/a/file && echo more >> /v/a/file")
            denied = node.execute(other, "cat /v/a/file")
        assert (allowed.exit_code, allowed.stdout) == (0, b"mine\n"), allowed.stderr
        assert (denied.exit_code, b"Permission denied" in denied.stderr) == (1, True)


@pytest.mark.parametrize("path", ["/etc", "/usr", "/"])
def test_the_hosts_own_directories_are_not_relabelled(node: Node, path: str) -> None:
    with pod(node, "refused") as made:
        with pytest.raises(grpc.RpcError, match="it is the host's own") as caught:
            node.create(
                made, "a", SLEEP, mounts=[pb.Mount(container_path="/v", host_path=path, selinux_relabel=True)]
            )
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_containers_start_and_end_while_the_policy_is_enforced(node: Node) -> None:
    with enforcing(), pod(node, "enforced") as made:
        identity = node.container(
            made, "a", "echo hello > /tmp/x && cat /tmp/x; trap 'exit 3' TERM; sleep 60 & wait"
        )
        assert node.execute(identity, "cat /tmp/x").stdout == b"hello\n"
        node.runtime.StopContainer(
            pb.StopContainerRequest(container_id=identity, timeout=20), timeout=PATIENCE_S
        )
        assert node.status(identity).exit_code == 3
        assert node.log("enforced", "a") == ["hello"]
