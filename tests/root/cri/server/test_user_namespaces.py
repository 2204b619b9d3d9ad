"""Pods with a user namespace: ids, owners on disk, shared PID namespace, exec, terminals, refusals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import grpc
import pytest

from cri.api import runtime_pb2 as pb
from cri.server import user_namespace
from tests.root.cri.server.conftest import PATIENCE_S, Node, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not user_namespace.is_supported(), reason="overlay layers by descriptor: Linux 6.13"),
]

FIRST, COUNT = 200_000, 65_536


def _options(**changes: Any) -> pb.NamespaceOption:
    mapping = [pb.IDMapping(container_id=0, host_id=FIRST, length=COUNT)]
    wanted: dict[str, Any] = {"mode": pb.POD, "uids": mapping, "gids": mapping} | changes
    return pb.NamespaceOption(userns_options=pb.UserNamespace(**wanted))


def _pod(node: Node, name: str, **changes: Any) -> tuple[str, pb.PodSandboxConfig]:
    security = pb.LinuxSandboxSecurityContext(namespace_options=_options(**changes))
    return node.sandbox(name, linux=pb.LinuxPodSandboxConfig(security_context=security))


def _container(**changes: Any) -> pb.LinuxContainerConfig:
    security = pb.LinuxContainerSecurityContext(namespace_options=_options(), **changes)
    return pb.LinuxContainerConfig(security_context=security)


def _remove(node: Node, identity: str) -> None:
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=identity), timeout=PATIENCE_S)


def test_root_inside_is_nobody_outside(node: Node) -> None:
    volume = node.directory / "volume"
    volume.mkdir()
    (volume / "given").write_text("content\n")
    mapping = [pb.IDMapping(container_id=0, host_id=FIRST, length=COUNT)]
    mounts = [pb.Mount(container_path="/v", host_path=str(volume), uidMappings=mapping, gidMappings=mapping)]
    pod = _pod(node, "userns")
    linux = _container()
    identity = node.container(
        pod, "a", "touch /made /v/made /dev/shm/made; sleep 1000", mounts=mounts, linux=linux
    )
    try:

        def out(script: str) -> str:
            return node.execute(identity, script).stdout.decode().strip()

        assert out("cat /proc/self/uid_map").split() == ["0", str(FIRST), str(COUNT)]
        wait_for(lambda: out("test -e /dev/shm/made && echo yes") == "yes")
        assert (
            out("id -u; stat -c %u /bin/sh /made /v/given /v/made /etc/hosts /dev/shm/made /dev/null").split()
            == ["0"] * 8
        )
        assert (volume / "made").stat().st_uid == 0
        upper = node.directory / "lib" / "snapshots" / identity / "upper"
        assert (upper / "made").stat().st_uid == FIRST
        assert out("echo x >> /etc/hosts && echo 127.0.0.1 > /dev/null && echo yes") == "yes"
        assert b"not permitted" in node.execute(identity, "mknod /x c 1 3").stderr
        info = node.runtime.ContainerStatus(
            pb.ContainerStatusRequest(container_id=identity, verbose=True)
        ).info
        pid = int(json.loads(info["info"])["pid"])
        assert f"Uid:\t{FIRST}" in Path(f"/proc/{pid}/status").read_text()
        for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
            assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    finally:
        _remove(node, pod[0])


def test_containers_share_the_pods_namespaces(node: Node) -> None:
    pod = _pod(node, "shared")
    first = node.container(pod, "a", "sleep 1001", linux=_container())
    second = node.container(pod, "b", "sleep 1002", linux=_container())
    try:
        seen = node.execute(second, "ps").stdout.decode()
        assert "sleep 1001" in seen
        assert "pause" in seen
        where = "for n in user net ipc uts pid; do readlink /proc/self/ns/$n; done"
        found = [node.execute(identity, where).stdout.split() for identity in (first, second)]
        assert found[0] == found[1]
        assert len(found[0]) == 5
    finally:
        _remove(node, pod[0])


def test_sysctls_of_the_pods_own_namespaces_are_set(node: Node) -> None:
    security = pb.LinuxSandboxSecurityContext(namespace_options=_options())
    settings = {"kernel.shm_rmid_forced": "1", "net.ipv4.ip_local_port_range": "2000 3000"}
    pod = node.sandbox("sysctls", linux=pb.LinuxPodSandboxConfig(security_context=security, sysctls=settings))
    try:
        identity = node.container(pod, "a", "sleep 1000", linux=_container())
        seen = node.execute(identity, "cd /proc/sys; cat kernel/shm_rmid_forced net/ipv4/ip_local_port_range")
        assert seen.stdout.split() == [b"1", b"2000", b"3000"]
    finally:
        _remove(node, pod[0])


def test_a_terminal_and_another_user(node: Node) -> None:
    pod = _pod(node, "tty")
    linux = _container(run_as_user=pb.Int64Value(value=1000), run_as_group=pb.Int64Value(value=1001))
    identity = node.container(pod, "a", "tty; id; sleep 1000", linux=linux, tty=True)
    try:
        assert node.execute(identity, "id").stdout.startswith(b"uid=1000 gid=1001")
        wait_for(lambda: "/dev/pts/0" in "".join(node.log("tty", "a")))
    finally:
        _remove(node, pod[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": pb.CONTAINER},
        {"mode": pb.TARGET},
        {"uids": []},
        {"uids": [pb.IDMapping(container_id=1, host_id=FIRST, length=10)]},
        {"gids": [pb.IDMapping(container_id=0, host_id=2**32 - 5, length=10)]},
        {"mode": pb.NODE},
    ],
)
def test_what_cannot_be_mapped_is_refused(node: Node, changes: dict[str, Any]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        _pod(node, "refused", **changes)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_an_id_without_mapping_is_refused(node: Node) -> None:
    pod = _pod(node, "unmapped")
    try:
        with pytest.raises(grpc.RpcError) as caught:
            node.container(pod, "a", "true", linux=_container(run_as_user=pb.Int64Value(value=COUNT)))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    finally:
        _remove(node, pod[0])


def test_containers_outlive_the_supervisor(node: Node) -> None:
    pod = _pod(node, "survivor")
    running = node.container(pod, "a", "sleep 1000", linux=_container())
    created = node.create(pod, "b", "id -u; sleep 1000", linux=_container())

    def supervisor() -> int:
        children = Path(f"/proc/{node.keeper.pid}/task/{node.keeper.pid}/children").read_text().split()
        for pid in children:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # reaped since
                if Path(f"/proc/{pid}/comm").read_text().strip() == "nk-super":
                    return int(pid)
        return 0

    try:
        old = supervisor()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: supervisor() not in (0, old))
        assert node.execute(running, "cat /proc/self/uid_map").stdout.split() == [b"0", b"200000", b"65536"]
        node.runtime.StartContainer(pb.StartContainerRequest(container_id=created), timeout=PATIENCE_S)
        wait_for(lambda: node.log("survivor", "b") == ["0"])
    finally:
        _remove(node, pod[0])
