"""Containers outlive the daemons: same pid, whole log, known exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cri.runtime.faults import RuntimeFault
from tests.root.cri.runtime.conftest import Node, is_ended, wait_for

pytestmark = pytest.mark.root

COUNT = "i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.02; done; exit 9"


def kill_daemon(node: Node, name: str) -> None:
    old = node.pid(name)
    os.kill(old, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return node.pid(name) != old
        except (LookupError, FileNotFoundError):
            return False

    wait_for(is_back)


@pytest.mark.parametrize("daemon", ["nk-super", "nk-logd"])
def test_a_daemon_killed_is_replaced_and_nothing_is_lost(lone_node: Node, daemon: str) -> None:
    node = lone_node
    spec = node.spec("sh", "-c", COUNT)
    node.client.create(spec)
    pid = node.client.start(spec.id).pid
    wait_for(lambda: node.log(spec.id).exists())
    kill_daemon(node, daemon)
    assert node.client.state(spec.id).pid == pid
    state = node.client.wait(spec.id, 30)
    assert (state.exit_code, state.reason) == (9, "Error")
    assert node.lines(spec.id) == [f"line {i}" for i in range(60)]


def test_an_exit_while_the_supervisor_is_away_is_known(lone_node: Node) -> None:
    node = lone_node
    spec = node.spec("sleep", "100")
    node.client.create(spec)
    pid = node.client.start(spec.id).pid
    supervisor = node.pid("nk-super")
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    assert node.client.wait(spec.id, 30).exit_code == 137


def test_a_created_container_starts_after_the_supervisor_was_killed(lone_node: Node) -> None:
    node = lone_node
    spec = node.spec("sh", "-c", "echo late")
    node.client.create(spec)
    kill_daemon(node, "nk-super")
    node.client.start(spec.id)
    assert node.client.wait(spec.id, 30).exit_code == 0
    assert node.lines(spec.id) == ["late"]


def test_a_terminal_and_stdin_survive_the_supervisor(lone_node: Node) -> None:
    node = lone_node
    tty = node.spec("sh", process={"tty": True, "env": ("PATH=/bin",)}, stdin=True)
    once = node.spec("cat", stdin=True, stdin_once=True)
    for spec in (tty, once):
        node.client.create(spec)
        node.client.start(spec.id)
    wait_for(lambda: node.client.state(tty.id).phase == "running")
    kill_daemon(node, "nk-super")
    assert {s.phase for s in node.client.list()} == {"running"}
    joined = node.client.attach(once.id, stdin=True, stdout=True, stderr=False)
    os.write(joined.stdin, b"still here\n")
    assert os.read(joined.stdout, 100) == b"still here\n"
    joined.close()
    assert node.client.wait(once.id, 30).exit_code == 0
    joined = node.client.attach(tty.id, stdin=True, stdout=True, stderr=False)
    os.write(joined.stdin, b"exit 5\n")
    assert node.client.wait(tty.id, 30).exit_code == 5
    joined.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_containers_outlive_the_keeper(lone_node: Node, number: int) -> None:
    node = lone_node
    spec = node.spec("sh", "-c", COUNT.replace("0.02", "0.04"))
    node.client.create(spec)
    pid = node.client.start(spec.id).pid
    keeper = node.pid("nk-keeper")
    os.kill(keeper, number)
    wait_for(lambda: is_ended(keeper))
    assert not is_ended(pid)
    node.start()
    state = node.client.wait(spec.id, 30)
    assert state.pid == pid
    kernel = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
    keeps_exits = kernel >= (6, 15)  # of processes whose parent is gone, by their pidfd
    assert state.exit_code == 9 or (state.exit_code == 255 and not keeps_exits)
    assert node.lines(spec.id) == [f"line {i}" for i in range(60)]


# Inherits orphans and does not reap them.
ADOPTER = """
import subprocess, sys
from cri.linux import prctl
prctl.set_child_subreaper()
subprocess.run(sys.argv[1:], check=True)
print("ready", flush=True)
sys.stdin.read()
"""


def test_an_exit_while_all_are_dead_is_known_until_it_is_reaped(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.make_image()
    keeper = [sys.executable, "-m", "cri.runtime.keeper", "--run-dir", str(node.run_dir), "--no-server"]
    command = [sys.executable, "-c", ADOPTER, *keeper]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as adopter:
        assert adopter.stdin
        assert adopter.stdout
        assert adopter.stdout.readline() == "ready\n"
        try:
            ended, ending = (node.spec("sh", "-c", f"sleep {time}; exit 7") for time in ("0.1", "1000"))
            for spec in (ended, ending):
                node.client.create(spec)
                node.client.start(spec.id)
            pids = [node.client.state(spec.id).pid for spec in (ended, ending)]
            os.kill(node.pid("nk-keeper"), signal.SIGKILL)
            wait_for(lambda: is_ended(pids[0]))
            node.start()
            assert node.client.wait(ended.id, 30).exit_code == 7
            os.kill(pids[1], signal.SIGKILL)
            assert node.client.wait(ending.id, 30).exit_code == 137
        finally:
            node.stop()
            adopter.stdin.close()


def test_the_interpreter_lies_on_a_read_only_mount(lone_node: Node) -> None:
    node = lone_node
    for name in ("nk-keeper", "nk-super", "nk-logd"):
        path = f"/proc/{node.pid(name)}/exe"
        assert os.statvfs(path).f_flag & os.ST_RDONLY


def test_the_server_is_started_and_restarted(lone_node: Node) -> None:
    node = lone_node
    node.stop()
    note = node.path / "note"
    node.start("sh", "-c", f"echo $$ >> {note}; exec sleep 1000")
    wait_for(lambda: note.exists() and note.read_text().count("\n") == 1)
    os.kill(int(note.read_text()), signal.SIGKILL)
    wait_for(lambda: note.read_text().count("\n") == 2)
    server = int(note.read_text().split()[1])
    os.kill(node.pid("nk-keeper"), signal.SIGTERM)
    wait_for(lambda: is_ended(server))
    node.start()


def test_unknown_containers_are_not_found(lone_node: Node) -> None:
    node = lone_node
    with pytest.raises(RuntimeFault, match="cannot find container"):
        node.client.state("nosuch")
