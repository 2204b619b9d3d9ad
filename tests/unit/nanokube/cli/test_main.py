"""The command line: every verb loads, unknown input and missing rights end in one line."""

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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: str) -> None:
    done = CliRunner().invoke(main.main, ["completion", shell])
    assert done.exit_code == 0
    assert "_NANOKUBE_COMPLETE" in done.output


def test_an_unknown_verb_is_refused() -> None:
    done = CliRunner().invoke(main.main, ["fly"])
    assert done.exit_code == 2
    assert "No such command 'fly'" in done.output
