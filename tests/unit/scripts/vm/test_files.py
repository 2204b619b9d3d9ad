"""Scenario files on virtual machines: other names, longer limits, faults by link address."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nanokube.lab import place, scenario
from scripts.vm import cluster, files, machine

NAMES = ("kubectl drain w2 -l a=w10 --field-selector spec.nodeName=s1", "values: [w1, w2]", "sw1 w1s node/w1")


@pytest.mark.parametrize("text", NAMES)
def test_names_are_exchanged_and_back(text: str) -> None:
    there = files.long(text)
    assert there != text
    assert files.short(there) == text


def test_only_whole_names_are_exchanged() -> None:
    assert files.long("sw1 w10 w1s s1") == "sw1 w10 w1s server-1"


def test_limits_of_time_are_longer() -> None:
    document = {
        "steps": [
            {"wait": {"object": "node/w1", "for": "condition=Ready", "within_s": 7}},
            {"expect": {"command": "kubectl get nodes", "contains": "w1"}},
            {"kubectl": "drain w2 --timeout=40s"},
            {"kill": ["w1"]},
        ]
    }
    found = files.slower(scenario.parse(document), 10)
    assert [argument for _verb, argument in found.steps] == [
        {"object": "node/w1", "for": "condition=Ready", "within_s": 70},
        {"command": "kubectl get nodes", "contains": "w1", "within_s": 300},
        "drain w2 --timeout=400s",
        ["w1"],
    ]


def machines(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], str]) -> files.Machines:
    def attempt(self: machine.Machine, command: str) -> tuple[int, str]:
        return 0, answer(f"{self.name}: {command}")

    monkeypatch.setattr(machine.Machine, "attempt", attempt)
    made = [
        machine.Machine(name, role, number, Path("/nowhere"), 1024, "tcg")
        for name, role, number in machine.roster(1, 2)
    ]
    for each in made:
        each.process = object()  # type: ignore[assignment]  # switched on
    return files.Machines(cluster.Lab(made, made[0]))


def test_a_cluster_is_asked_and_answers_by_the_machines_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    lab = machines(monkeypatch, lambda command: asked.append(command) or "node/worker-1 cordoned")  # type: ignore[func-returns-value]
    assert lab.names(place.WORKER) == ["w1", "w2"]
    assert lab.kubectl(["cordon", "w1"], "in: w2") == (0, "node/w1 cordoned")
    assert asked[0].startswith("server-1: ")
    assert "kubectl cordon worker-1 <<" in asked[0]
    assert "\nin: worker-2\n" in asked[0]


def test_a_partition_drops_what_the_others_send_on_the_shared_link(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, dict[str, object]] = {}

    def hear(command: str) -> str:
        asked[command.split(":")[0]] = json.loads(command.splitlines()[-2])
        return ""

    lab = machines(monkeypatch, hear)
    lab.partition(["w1"], [])
    assert sorted(asked) == ["server-1", "worker-1", "worker-2"]
    for name, senders in {"worker-1": [11, 22], "worker-2": [21], "server-1": [21]}.items():
        rules = str(asked[name]["nft"])
        assert 'device "eth1"' in rules
        assert rules.count(" drop") == len(senders)
        assert all(f"ether saddr 52:54:00:00:00:{number:02x} drop" in rules for number in senders)
    asked.clear()
    lab.heal([])
    assert all("drop" not in str(order["nft"]) for order in asked.values())
    assert len(asked) == 3
    with pytest.raises(place.LabError, match="clock"):
        lab.give("w1", clock_s=5)
