"""The command line: every verb loads, unknown input and missing rights end in one line."""

import errno

import click
import pytest
from click.testing import CliRunner

from nanokube.cli import main


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_has_help(verb: str) -> None:
    if verb == "kubectl":
        pytest.skip("its help is kubectl's own")
    done = CliRunner().invoke(main.main, [verb, "--help"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Usage:")


@pytest.mark.parametrize("verb", ["up", "down", "reset", "status", "demo"])
def test_verbs_that_need_root_say_so(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    done = CliRunner().invoke(main.main, [verb])
    assert done.exit_code == 1
    assert done.output == f"nanokube: {verb} needs root\nhint: run `sudo nanokube {verb}`\n"


def test_groups_that_need_root_do_not_name_a_command_that_only_shows_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    done = CliRunner().invoke(main.main, ["lab", "up"])
    assert done.output == "nanokube: lab needs root\nhint: run `sudo nanokube lab …`\n"


def test_a_file_that_only_root_may_open_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def verb() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/run/nanokube/cri.sock")

    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: verb)
    done = CliRunner().invoke(main.main, ["image"])
    assert done.exit_code == 1
    assert done.output == (
        "nanokube: cannot open /run/nanokube/cri.sock: Permission denied\nhint: run it with sudo\n"
    )


def test_a_host_without_labs_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("nanokube.lab.control.names", lambda: [])
    done = CliRunner().invoke(main.main, ["lab", "list"])
    assert (done.exit_code, done.output) == (0, "no lab is up; make one: `sudo nanokube lab up`\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: str) -> None:
    done = CliRunner().invoke(main.main, ["completion", shell])
    assert done.exit_code == 0
    assert "_NANOKUBE_COMPLETE" in done.output


def test_an_unknown_verb_is_refused() -> None:
    done = CliRunner().invoke(main.main, ["fly"])
    assert done.exit_code == 2
    assert "No such command 'fly'" in done.output
