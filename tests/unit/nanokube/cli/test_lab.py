"""`lab up` ends what it began when it fails, and nothing else."""

from pathlib import Path
from typing import Never

import pytest
from click.testing import CliRunner

from nanokube.cli import lab
from nanokube.lab import control, place


@pytest.mark.parametrize(
    ("failure", "ended"),
    [
        (place.LabIsThereError("lab x is there already", "end it"), []),
        (place.LabError("the lab's hub did not start"), ["x"]),
        (KeyboardInterrupt(), ["x"]),
    ],
)
def test_a_lab_that_was_there_is_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, ended: list[str]
) -> None:
    found: list[str] = []

    def create(_planned: place.Lab) -> Never:
        raise failure

    monkeypatch.setenv(place.HOME_VARIABLE, str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(control, "create", create)
    monkeypatch.setattr(control, "destroy", found.append)
    (tmp_path / "x").mkdir()
    done = CliRunner().invoke(lab.lab, ["--name", "x", "up"])
    assert done.exit_code == 1
    assert found == ended


@pytest.mark.parametrize(("name", "expected"), [("lab", "nanokube lab"), ("v6", "nanokube lab --name v6")])
def test_what_to_try_is_about_the_lab_that_was_made(name: str, expected: str) -> None:
    assert lab.command(name) == expected
