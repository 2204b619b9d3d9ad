"""Logs, exec, attach and terminals, on a real kernel."""

from __future__ import annotations

import os
import re

import pytest

from cri.runtime.faults import DEADLINE_EXCEEDED, RuntimeFault
from tests.root.cri.runtime.conftest import Node, wait_for

pytestmark = pytest.mark.root


def started(node: Node, *argv: str, **changes: object) -> str:
    spec = node.spec(*argv, **changes)
    node.client.create(spec)
    node.client.start(spec.id)
    return spec.id


def test_log_lines_have_the_cri_form(node: Node) -> None:
    name = started(node, "sh", "-c", "echo out; echo err >&2; printf tail")
    node.client.wait(name, 30)
    lines = node.log(name).read_text().splitlines()
    assert {re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ", "", line) for line in lines} == {
        "stdout F out",
        "stderr F err",
        "stdout P tail",
    }


def test_a_renamed_log_is_reopened(node: Node) -> None:
    name = started(node, "sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done")
    log, old = node.log(name), node.log(name).with_suffix(".old")
    wait_for(lambda: log.exists() and log.stat().st_size)
    log.rename(old)
    node.client.reopen_log(name)
    size = old.stat().st_size
    wait_for(lambda: log.exists() and log.stat().st_size)
    assert old.stat().st_size == size


def test_exec_sync_returns_output_and_code(node: Node) -> None:
    name = started(node, "sleep", "100")
    result = node.client.exec_sync(name, ["sh", "-c", "echo hello; echo bad >&2; pwd; exit 4"])
    assert (result.stdout, result.stderr, result.exit_code) == (b"hello\n/\n", b"bad\n", 4)
    with pytest.raises(RuntimeFault, match=r'exec: "nosuch": executable file not found in \$PATH'):
        node.client.exec_sync(name, ["nosuch"])


def test_exec_sync_kills_at_its_deadline(node: Node) -> None:
    name = started(node, "sleep", "100")
    with pytest.raises(RuntimeFault) as caught:
        node.client.exec_sync(name, ["sleep", "4321"], timeout_s=0.3)
    assert caught.value.kind == DEADLINE_EXCEEDED
    seen = ["sh", "-c", "cat /proc/*/cmdline | grep -ac sleep[^.]4321"]
    assert node.client.exec_sync(name, seen).stdout == b"0\n"


def test_exec_with_a_terminal(node: Node) -> None:
    name = started(node, "sleep", "100")
    with node.client.exec(
        name, ["sh", "-c", "tty; stty size; read x; echo got $x; exit 6"], tty=True
    ) as session:
        session.resize(33, 99)
        os.write(session.master, b"word\n")
        output = read_all(session.master)
        assert session.wait(30) == 6
    assert b"/dev/pts/" in output
    assert b"got word" in output


def test_exec_with_stdin(node: Node) -> None:
    name = started(node, "sleep", "100")
    (in_r, in_w), (out_r, out_w) = os.pipe(), os.pipe()
    session = node.client.exec(name, ["cat"], stdin=in_r, stdout=out_w)
    os.close(in_r)
    os.close(out_w)
    os.write(in_w, b"through")
    os.close(in_w)
    assert read_all(out_r) == b"through"
    assert session.wait(30) == 0
    session.close()
    os.close(out_r)


def test_attach_to_a_shell_with_stdin_once(node: Node) -> None:
    name = started(node, "sh", stdin=True, stdin_once=True)
    joined = node.client.attach(name, stdin=True, stdout=True, stderr=True)
    os.write(joined.stdin, b"echo hello\n")
    assert os.read(joined.stdout, 100) == b"hello\n"
    joined.close_stdin()
    assert read_all(joined.stdout) == b""
    assert node.client.wait(name, 30).exit_code == 0
    joined.close()
    assert node.lines(name) == ["hello"]


def test_attach_to_a_terminal(node: Node) -> None:
    name = started(node, "sh", process={"tty": True, "env": ("PATH=/bin", "PS1=$ ")}, stdin=True)
    joined = node.client.attach(name, stdin=True, stdout=True, stderr=False)
    node.client.resize(name, 40, 120)
    os.write(joined.stdin, b"stty size; tty; ls -l /dev/console | wc -l; exit 7\n")
    output = read_all(joined.stdout)
    joined.close()
    assert b"40 120" in output
    assert b"/dev/pts/0" in output
    assert node.client.wait(name, 30).exit_code == 7


def read_all(fd: int) -> bytes:
    """Read to the end; a terminal's end is EIO."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(fd, 65536)
        except OSError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)
