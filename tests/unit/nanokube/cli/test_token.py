"""A token and a key that hosts were told beforehand are taken as they are, or refused at once."""

import pytest
from click.testing import CliRunner

from nanokube.cli import token


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["ABCDEF.0123456789abcdef"], "six lower-case letters"),
        (["abcdef"], "sixteen more"),
        (["abcdef.0123456789abcdef", "--certificate-key", "12"], "64 hexadecimal digits"),
    ],
)
def test_what_is_no_token_or_key_is_refused(arguments: list[str], cause: str) -> None:
    done = CliRunner().invoke(token.token, ["create", *arguments])
    assert done.exit_code == 2
    assert cause in " ".join(done.output.split())
