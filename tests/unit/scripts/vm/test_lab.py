"""The lab boots the Vagrantfile's machines, and reads conditions and its command line."""

import os
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


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "nothing"],
        ["--workers", "0"],
        ["--servers", "0"],
        ["--run", "/nowhere.yaml"],
        ["--resume"],  # nothing was kept
    ],
)
def test_a_lab_that_cannot_be_is_refused(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        lab.parse(["--place", str(tmp_path), *arguments])


def test_the_command_line_is_checked_before_an_image_is_made(tmp_path: Path) -> None:
    assert lab.main(["--place", str(tmp_path), "--check", "--servers", "3"]) == 0
    with pytest.raises(SystemExit):
        lab.main(["--place", str(tmp_path), "--check", "--only", "nothing"])


@pytest.mark.parametrize(
    ("does", "expected", "cause"),
    [
        ("exit 0", "kvm", ""),  # the kernel came to its panic, and the machine to its end
        ("echo 'no KVM for you' >&2; exit 1", "tcg", "no KVM for you"),
        ("exec sleep 600", "tcg", "runs no kernel"),  # stopped at an instruction, or slower than emulated
    ],
)
def test_kvm_is_used_only_if_a_kernel_runs(
    does: str, expected: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(machine, "PROBE_S", 1.0 if "sleep" in does else 60.0)
    how, why = machine.acceleration(tmp_path / "vmlinuz", device=program)
    assert (how, cause in why, bool(why)) == (expected, True, bool(cause))


def test_without_the_device_nothing_is_tried(tmp_path: Path) -> None:
    assert machine.acceleration(tmp_path / "vmlinuz", device=tmp_path / "kvm") == ("tcg", "")


def test_a_place_without_an_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(machine.LabError, match=str(tmp_path)):
        machine.kernel_of(tmp_path)


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
        (["--servers", "3", "--workers", "1"], set()),
        (["--servers", "3", "--page"], {"again", "graceful"}),
        (["--run", __file__], set(scenarios.SCENARIOS) - {"nodes"}),
    ],
)
def test_a_lab_goes_through_what_it_can(arguments: list[str], left_out: set[str], tmp_path: Path) -> None:
    options = lab.parse(["--place", str(tmp_path), *arguments])
    assert set(scenarios.SCENARIOS) - set(lab.chosen(options)) == left_out
