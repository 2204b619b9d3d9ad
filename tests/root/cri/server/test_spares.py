"""Namespaces made ahead: a Pod gets them fresh, they come and go, and the server's end takes them along."""

import contextlib
import os
import re
import signal
from pathlib import Path

import pytest

from cri.api import runtime_pb2 as pb
from cri.network import spares
from tests.root.cri.server.conftest import PATIENCE_S, Node, wait_for

pytestmark = pytest.mark.root


def held(pid: int) -> set[int]:
    """Return the network namespaces of a process's descriptors, less the one it is in: spares."""
    found = set()
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if match := re.fullmatch(r"net:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{entry}")):
                found.add(int(match[1]))
    return found - {os.stat(f"/proc/{pid}/ns/net").st_ino}


def pin(node: Node, sandbox_id: str) -> int:
    """Return the inode of a sandbox's network namespace."""
    return os.stat(f"/proc/{node.keeper.pid}/root/{node.directory}/run/ns/{sandbox_id}/net").st_ino


def remove(node: Node, sandbox_id: str) -> None:
    node.runtime.RemovePodSandbox(pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id), timeout=PATIENCE_S)


def test_the_next_pod_gets_the_spare_and_another_is_made(node: Node) -> None:
    server = node.server_pid()
    first = node.sandbox("first")
    wait_for(lambda: held(server))
    (spare,) = held(server)
    assert spare != pin(node, first[0])
    config = pb.LinuxPodSandboxConfig(sysctls={"net.ipv4.tcp_fin_timeout": "41", "kernel.msgmax": "8193"})
    second = node.sandbox("second", hostname="second-0", linux=config)
    assert pin(node, second[0]) == spare
    read = "cd /proc/sys/; cat net/ipv4/tcp_fin_timeout kernel/msgmax net/ipv4/ip_unprivileged_port_start"
    node.container(
        second, "main", f"hostname; {read}; ip link show lo | grep -c LOOPBACK,UP; ipcs -q | wc -l"
    )
    wait_for(lambda: len(node.log("second", "main")) >= 5)
    assert node.log("second", "main")[:5] == ["second-0", "41", "8193", "0", "1"]
    wait_for(lambda: held(server) - {spare})
    for pod in (first, second):
        remove(node, pod[0])


def test_who_shares_the_nodes_network_or_ipc_takes_none(node: Node) -> None:
    server = node.server_pid()
    remove(node, node.sandbox("plain")[0])
    wait_for(lambda: held(server))
    (spare,) = held(server)
    for number, options in enumerate(
        (pb.NamespaceOption(network=pb.NODE, ipc=pb.NODE), pb.NamespaceOption(ipc=pb.NODE))
    ):
        security = pb.LinuxSandboxSecurityContext(namespace_options=options)
        linux = pb.LinuxPodSandboxConfig(security_context=security)
        remove(node, node.sandbox(f"shares-{number}", linux=linux)[0])
        assert held(server) == {spare}


def test_a_spare_is_not_kept_on_an_idle_node(node: Node) -> None:
    server = node.server_pid()
    remove(node, node.sandbox("last")[0])
    wait_for(lambda: held(server))
    wait_for(lambda: not held(server), spares.KEEP_S + 5)


def test_a_killed_server_leaves_no_spare(node: Node) -> None:
    server = node.server_pid()
    remove(node, node.sandbox("before")[0])
    wait_for(lambda: held(server))
    spare = held(server)
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: node.server_pid() not in (0, server))
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            assert not held(int(entry.name)) & spare
