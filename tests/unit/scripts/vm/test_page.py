"""The page on many nodes has the commands that the lab follows: for the server, a host, a server on etcd."""

import pytest

from scripts.vm import cluster, machine, page

LINE = "sudo nanokube join https://192.168.56.11:6443 --token abcdef.0123456789abcdef --ca-hash sha256:0"


def done_on(monkeypatch: pytest.MonkeyPatch, servers: int) -> list[tuple[str, str]]:
    done: list[tuple[str, str]] = []

    def run(self: machine.Machine, command: str, *_rest: object) -> str:
        done.append((self.name, command))
        if "token create" not in command:
            return "said\n"
        return f"{LINE} --control-plane\n" if "--control-plane" in command else f"{LINE}\n"

    monkeypatch.setattr(machine.Machine, "run", run)
    made = [
        machine.Machine(name, role, number, page.PAGE.parent, 1024, "tcg")
        for name, role, number in machine.roster(servers, 1)
    ]
    page.follow(cluster.Lab(made, made[0]))
    return done


def test_the_page_makes_a_server_and_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    assert done_on(monkeypatch, 1) == [
        ("server-1", "sudo ./scripts/up --no-demo"),
        ("server-1", "sudo nanokube token create"),
        ("worker-1", "sudo ./scripts/install"),
        ("worker-1", LINE),
    ]


def test_the_page_makes_servers_on_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    done = done_on(monkeypatch, 3)
    assert done[1:3] == [
        ("server-1", "sudo nanokube up --etcd"),
        ("server-1", "sudo nanokube token create --control-plane"),
    ]
    assert done[3:7] == [
        (name, command)
        for name in ("server-2", "server-3")
        for command in ("sudo ./scripts/install", f"{LINE} --control-plane")
    ]
    assert done[7:] == [
        ("server-1", "sudo nanokube token create"),
        ("worker-1", "sudo ./scripts/install"),
        ("worker-1", LINE),
    ]


def test_a_page_whose_server_prints_no_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.scripts.vm.test_page.LINE", "done")
    with pytest.raises(machine.LabError, match="no line to join with"):
        done_on(monkeypatch, 1)
