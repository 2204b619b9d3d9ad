"""Containers from create to remove, on a real kernel."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from cri.bundle.spec import Capabilities, Resources, User, holder_spec
from cri.runtime.faults import RuntimeFault
from tests.root.cri.runtime.conftest import DEFAULT_CAPS, Node, wait_for

pytestmark = pytest.mark.root


def test_output_and_exit_code_reach_log_and_state(node: Node) -> None:
    code, lines = node.run("sh", "-c", "echo hello; echo $$; exit 3")
    assert (code, lines) == (3, ["hello", "1"])


def test_states_of_a_life(node: Node) -> None:
    spec = node.spec("sleep", "100")
    created = node.client.create(spec)
    assert (created.phase, created.exit_code) == ("created", 0)
    running = node.client.start(spec.id)
    assert running.phase == "running"
    assert Path(f"/proc/{running.pid}/cmdline").read_bytes() == b"sleep\x00100\x00"
    with pytest.raises(RuntimeFault, match="it is running"):
        node.client.start(spec.id)
    started = time.monotonic()
    done = node.client.stop(spec.id, 0.2)  # sleep as PID 1 ignores SIGTERM
    assert time.monotonic() - started >= 0.2
    assert (done.phase, done.exit_code, done.reason) == ("exited", 137, "Error")
    node.client.remove(spec.id)
    assert node.client.list() == []
    wait_for(lambda: not (node.run_dir / "c" / spec.id).exists())
    node.client.remove(spec.id)  # unknown: no error


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("nosuch",), 'exec: "nosuch": executable file not found in $PATH'),
        (("/bin/nosuch",), 'exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory'),
        (("/etc",), 'exec: "/etc": is a directory'),
        (("/etc/hosts",), 'exec: "/etc/hosts": permission denied'),
    ],
)
def test_a_command_that_cannot_run_is_told_by_start(node: Node, argv: tuple[str, ...], message: str) -> None:
    (node.image / "etc" / "hosts").write_text("x")
    spec = node.spec(*argv)
    node.client.create(spec)
    with pytest.raises(RuntimeFault) as caught:
        node.client.start(spec.id)
    assert message in caught.value.message
    state = node.client.wait(spec.id, 30)
    assert (state.phase, state.exit_code, state.reason) == ("exited", 128, "StartError")
    assert message in state.message


def test_a_missing_working_directory_is_made(node: Node) -> None:
    assert node.run("sh", "-c", "echo $(pwd -P)", process={"cwd": "/a/b"})[1] == ["/a/b"]


def test_removal_of_a_created_and_of_a_running_container(node: Node) -> None:
    created, running = node.spec("sleep", "9"), node.spec("sleep", "9")
    node.client.create(created)
    node.client.create(running)
    pid = node.client.start(running.id).pid
    node.client.remove(created.id)
    node.client.remove(running.id)
    assert not Path(f"/proc/{pid}").exists()
    assert node.client.list() == []


def test_identity_capabilities_and_no_new_privileges(node: Node) -> None:
    user = User(1001, 1002, (1002, 5000))
    process = {"user": user, "no_new_privs": True}
    _, lines = node.run(
        "sh", "-c", "id -u; id -g; id -G; grep -E 'NoNewPrivs|Cap' /proc/self/status", process=process
    )
    assert lines[:3] == ["1001", "1002", "1002 5000"]
    status = dict(line.split(":\t") for line in lines[3:])
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapBnd"], 16) == DEFAULT_CAPS
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapInh"], 16) == 0


def test_root_without_capabilities_has_none(node: Node) -> None:
    _, lines = node.run("grep", "Cap", "/proc/self/status", process={"capabilities": Capabilities()})
    assert {line.split()[1] for line in lines} == {"0" * 16}


def test_memory_limit_ends_in_oomkilled(node: Node) -> None:
    limit = 15 << 20
    spec = node.spec(
        "dd",
        "if=/dev/zero",
        "of=/dev/null",
        "bs=20M",
        resources=Resources(memory_limit=limit, memory_swap_limit=limit),
    )
    node.client.create(spec)
    node.client.start(spec.id)
    state = node.client.wait(spec.id, 30)
    assert (state.exit_code, state.reason) == (137, "OOMKilled")


def test_holder_is_init_of_a_shared_pid_namespace(node: Node) -> None:
    node.client.create(holder_spec("pod", "pod", f"{node.name}/pod"))
    comm = Path(f"/proc/{node.client.state('pod').pid}/comm")
    wait_for(lambda: comm.read_text() == "pause\n")
    from cri.bundle.spec import Namespaces

    shared = Namespaces(pid="container", pid_target="pod")
    script = "cat /proc/1/comm; ls /proc/1/root 2>&1 || echo hidden"
    code, lines = node.run("sh", "-c", script, namespaces=shared)
    assert (code, lines[:1], lines[-1:]) == (0, ["pause"], ["hidden"])
    first = node.spec("sleep", "77", namespaces=shared)
    node.client.create(first)
    node.client.start(first.id)
    assert node.run("sh", "-c", "cat /proc/*/cmdline | grep -ac sleep[^.]77", namespaces=shared)[1] == ["1"]
    assert node.client.stop("pod", 5).exit_code == 0
    wait_for(lambda: node.client.state(first.id).phase == "exited")


def test_events_tell_a_life(node: Node) -> None:
    events = node.client.events()
    spec = node.spec("true")
    node.client.create(spec)
    node.client.start(spec.id)
    node.client.wait(spec.id)
    node.client.remove(spec.id)
    seen = [next(events) for _ in range(4)]
    assert [e.kind for e in seen] == ["created", "started", "exited", "removed"]
    assert seen[2].state.exit_code == 0


def test_ids_that_are_no_file_names_are_refused(node: Node) -> None:
    import dataclasses

    for wrong in ("../x", "A", "", "a" * 65):
        with pytest.raises(RuntimeFault, match="cannot use id"):
            node.client.create(dataclasses.replace(node.spec("true"), id=wrong))
    with pytest.raises(RuntimeFault, match="cannot use user or group id"):
        node.client.create(node.spec("true", process={"user": User(uid=2**32)}))


def test_kill_delivers_a_signal(node: Node) -> None:
    spec = node.spec("sh", "-c", "trap 'echo got; exit 5' USR1; echo up; while :; do sleep 0.05; done")
    node.client.create(spec)
    node.client.start(spec.id)
    wait_for(lambda: node.lines(spec.id) == ["up"])
    node.client.kill(spec.id, signal.SIGUSR1)
    assert node.client.wait(spec.id, 30).exit_code == 5
    assert node.lines(spec.id) == ["up", "got"]


def test_a_host_pid_container_leaves_no_process(node: Node) -> None:
    from cri.bundle.spec import Namespaces

    spec = node.spec("sh", "-c", "sleep 4321 & echo $!", namespaces=Namespaces(pid="host"))
    node.client.create(spec)
    node.client.start(spec.id)
    node.client.wait(spec.id, 30)
    child = int(node.lines(spec.id)[0])
    wait_for(lambda: not os.path.exists(f"/proc/{child}"))


def test_a_created_container_can_be_stopped(node: Node) -> None:
    spec = node.spec("sleep", "9")
    pid = node.client.create(spec).pid
    state = node.client.stop(spec.id, 10)
    assert (state.phase, state.exit_code, state.started_at) == ("exited", 137, 0)
    assert state.finished_at > 0
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(RuntimeFault, match="it is exited"):
        node.client.start(spec.id)
