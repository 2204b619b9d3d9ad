"""What scripts/provision is told wrongly it says, before it changes anything."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[4] / "scripts/provision"


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ([], "the first argument is a role"),
        (["leader"], "the first argument is a role"),
        (["server", "--adress", "192.0.2.1"], "--adress is not understood"),
        (["server", "--address"], "--address has no value"),
        (["worker", "--address", "192.0.2.1", "--server"], "--server has no value"),
    ],
)
def test_it_says_what_is_wrong(arguments: list[str], cause: str) -> None:
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, cause in done.stderr) == (1, True), done.stderr
