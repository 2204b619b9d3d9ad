"""The lab boots the Vagrantfile's machines, and reads conditions and its command line."""

import re
from pathlib import Path

import pytest

from scripts.vm import cluster, lab, machine, scenarios

VAGRANTFILE = (Path(__file__).parents[4] / "Vagrantfile").read_text()


def test_machines_are_named_and_numbered_as_in_the_vagrantfile() -> None:
    assert machine.roster(2, 2) == [
        ("server-1", "server", 11),
        ("server-2", "control-plane", 12),
        ("worker-1", "worker", 21),
        ("worker-2", "worker", 22),
    ]
    assert re.findall(r'"((?:server|worker)-)#{i}".*?#{(\d+) \+ i}', VAGRANTFILE) == [
        ("server-", "10"),
        ("worker-", "20"),
    ]
    assert f'ENV.fetch("NANOKUBE_SUBNET", "{machine.PREFIX}")' in VAGRANTFILE


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"conditions": [{"type": "Ready", "status": "True"}]}, True),
        ({"conditions": [{"type": "Ready", "status": "Unknown"}]}, False),
        ({"conditions": [{"type": "MemoryPressure", "status": "True"}]}, False),
        ({}, False),
    ],
)
def test_ready_is_the_condition_of_that_name(status: dict[str, object], expected: bool) -> None:
    assert cluster.is_ready({"status": status}) is expected


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--workers", "0"], ["--servers", "0"]])
def test_a_lab_that_cannot_be_is_refused(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        lab.parse(["--place", str(tmp_path), *arguments])


def test_a_scenario_that_fails_does_not_stop_those_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_lab: cluster.Lab) -> None:
        raise machine.LabError("no")

    known = {"boot": lambda _lab: None, "provision": lambda _lab: None, "a": fail, "b": lambda _lab: None}
    monkeypatch.setattr(scenarios, "SCENARIOS", known)
    asked = machine.Machine("server-1", "server", 11, Path("/nowhere"), 1024, "tcg")
    results = lab.run(cluster.Lab([asked], asked), ["a", "b"])
    assert [(name, cause) for name, cause, _seconds in results] == [
        ("boot", ""),
        ("provision", ""),
        ("a", "no"),
        ("b", ""),
    ]
    known["boot"] = fail
    assert [name for name, _cause, _seconds in lab.run(cluster.Lab([asked], asked), ["b"])] == ["boot"]


@pytest.mark.parametrize(
    ("arguments", "left_out"),
    [
        ([], {"server-killed"}),
        (["--servers", "3", "--workers", "1"], {"worker-killed"}),
        (["--servers", "3", "--page"], {"again", "graceful"}),
        (["--run", "file.yaml"], set(scenarios.SCENARIOS) - {"nodes"}),
    ],
)
def test_a_lab_goes_through_what_it_can(arguments: list[str], left_out: set[str], tmp_path: Path) -> None:
    options = lab.parse(["--place", str(tmp_path), *arguments])
    assert set(scenarios.SCENARIOS) - set(lab.chosen(options)) == left_out
