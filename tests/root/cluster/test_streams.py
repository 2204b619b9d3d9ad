"""exec, attach, cp, debug and port-forward by stock kubectl, over WebSocket and over SPDY."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanokube.cli import demo_image
from tests.root.cluster import host, test_kubectl

pytestmark = pytest.mark.root

SPDY = ("env", "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false", "KUBECTL_PORT_FORWARD_WEBSOCKETS=false")
TRANSPORTS = pytest.mark.parametrize("transport", [(), SPDY], ids=["websocket", "spdy"])
IMAGE = demo_image.REFERENCE


def pod(name: str, script: str, **fields: Any) -> dict[str, Any]:
    """A Pod of one container that runs a shell script; fields are the container's."""
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["sh", "-c", script],
        **fields,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }


def wait_ready(cluster: host.Host, name: str) -> None:
    cluster.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=50s")


def phase(cluster: host.Host, name: str) -> str:
    return cluster.kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}")


def wait_for(condition: Any, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "condition not reached"
        time.sleep(0.1)


@pytest.fixture
def sleeper(cluster: host.Host, apply: Any) -> str:
    apply(pod("sleeper", "trap 'exit 0' TERM; echo up; while :; do sleep 0.2; done"))
    wait_ready(cluster, "sleeper")
    return "sleeper"


@pytest.fixture
def web(cluster: host.Host, apply: Any) -> str:
    apply(test_kubectl.deployment("web"), test_kubectl.service("web"))
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=50s")
    return "web"


@TRANSPORTS
def test_exec_carries_all_streams_and_the_code(
    cluster: host.Host, sleeper: str, transport: tuple[str, ...]
) -> None:
    command = (
        *transport,
        host.kubectl(),
        "exec",
        "-i",
        sleeper,
        "--",
        "sh",
        "-c",
        "cat; echo err >&2; exit 4",
    )
    done = cluster.run(*command, stdin="in\n", check=False)
    assert (done.stdout, done.returncode) == ("in\n", 4)
    assert done.stderr.startswith("err\n")
    big = "x" * 2_000_000
    done = cluster.run(*transport, host.kubectl(), "exec", "-i", sleeper, "--", "cat", stdin=big)
    assert done.stdout == big


@TRANSPORTS
def test_a_terminal_has_the_size_of_the_clients(
    cluster: host.Host, sleeper: str, transport: tuple[str, ...]
) -> None:
    inner = " ".join((*transport, host.kubectl(), "exec", "-it", sleeper, "--", "stty", "size"))
    command = f"stty rows 33 cols 101; {inner}"
    wait_for(lambda: "33 101" in cluster.run("script", "-qec", command, "/dev/null", check=False).stdout)


@TRANSPORTS
def test_attach_ends_a_shell_with_its_input(
    cluster: host.Host, apply: Any, transport: tuple[str, ...]
) -> None:
    shell = pod("shell", "echo ready; exec sh", stdin=True, stdinOnce=True)
    shell["spec"]["restartPolicy"] = "Never"
    apply(shell)
    wait_ready(cluster, "shell")
    attach = (*transport, host.kubectl(), "attach", "-i", "-q", "shell")
    done = cluster.run(*attach, stdin="echo $((40 + 2)); exit 3\n", check=False)
    assert "42" in done.stdout
    wait_for(lambda: phase(cluster, "shell") == "Failed")
    code = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"
    assert cluster.kubectl("get", "pod", "shell", "-o", code) == "3"


@TRANSPORTS
def test_attach_follows_the_output(cluster: host.Host, apply: Any, transport: tuple[str, ...]) -> None:
    apply(pod("talker", "i=0; while :; do echo line $i; i=$((i + 1)); sleep 0.1; done"))
    wait_ready(cluster, "talker")
    with cluster.running(*transport, host.kubectl(), "attach", "talker") as process:
        assert process.stdout is not None
        lines = (line for line in iter(process.stdout.readline, "") if line.startswith("line "))
        numbers = [int(line.split()[1]) for line, _ in zip(lines, range(5), strict=False)]
        assert numbers == list(range(numbers[0], numbers[0] + 5))


def test_run_attaches_to_what_it_starts(cluster: host.Host) -> None:
    options = ("--restart=Never", "--rm", "-i", "-q", f"--image={IMAGE}")
    out = cluster.kubectl("run", "once", *options, "--command", "--", "sh", stdin="echo from $HOSTNAME\n")
    assert "from once" in out
    assert "once" not in cluster.kubectl("get", "pods", "-o", "name")


@TRANSPORTS
def test_files_are_copied_both_ways(
    cluster: host.Host, sleeper: str, transport: tuple[str, ...], tmp_path: Path
) -> None:
    source = tmp_path / "tree"
    (source / "sub").mkdir(parents=True)
    (source / "one").write_bytes(bytes(range(256)) * 4000)
    (source / "sub" / "two").write_text("two\n")
    cluster.run(*transport, host.kubectl(), "cp", str(source), f"{sleeper}:/tmp/tree")
    assert cluster.kubectl("exec", sleeper, "--", "cat", "/tmp/tree/sub/two") == "two\n"
    back = tmp_path / "back"
    cluster.run(*transport, host.kubectl(), "cp", f"{sleeper}:/tmp/tree", str(back))
    assert (back / "one").read_bytes() == (source / "one").read_bytes()


def test_debug_joins_the_target_container(cluster: host.Host, sleeper: str) -> None:
    script = "tr '\\0' ' ' < /proc/1/cmdline; echo; cat /proc/1/root/proc/sys/kernel/hostname"
    options = ("--image", IMAGE, "--target=main", "--profile=general", "-q", "-i")
    out = cluster.kubectl("debug", sleeper, *options, "--", "sh", "-c", f"sleep 0.5; {script}")
    assert "while :; do sleep" in out
    assert sleeper in out


@TRANSPORTS
def test_many_connections_are_forwarded_at_a_time(
    cluster: host.Host, web: str, transport: tuple[str, ...]
) -> None:
    with forwarded(cluster, web, transport):
        fetch = "busybox wget -q -O - http://127.0.0.1:18090/ & " * 20
        answers = cluster.run("sh", "-c", f"{fetch} wait").stdout.split("\n")
        assert sum(answer.startswith(web) for answer in answers) == 20


@contextlib.contextmanager
def forwarded(cluster: host.Host, web: str, transport: tuple[str, ...]) -> Iterator[None]:
    with cluster.running(*transport, host.kubectl(), "port-forward", f"service/{web}", "18090:80") as process:
        assert process.stdout is not None
        assert "Forwarding from 127.0.0.1:18090" in process.stdout.readline()
        yield
