"""A token and a key that hosts were told beforehand are taken as they are, or refused at once."""

import asyncio
import time
from typing import Any

import pytest
from click.testing import CliRunner

from nanokube.api import bootstrap_tokens
from nanokube.api.objects import Object
from nanokube.cli import token
from nanokube.client import rest


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


class Unsigned(rest.Client):
    """A client of a cluster that signs with no token."""

    def __init__(self) -> None:
        self.secrets: list[Object] = []

    async def create(self, *args: Any, **_options: Any) -> dict[str, Any]:
        self.secrets.append(args[1])
        return dict(args[1])

    async def get(self, *_args: Any, **_options: Any) -> dict[str, Any]:
        return {"data": {}}


@pytest.mark.parametrize(("lives_s", "warns"), [(0.01, False), (3600, True), (None, True)])
def test_a_token_that_ended_before_it_was_signed_with_is_no_fault_of_the_cluster(
    lives_s: float | None, warns: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token, "SIGNED_TIMEOUT_S", 0.02)
    ends = time.time() + lives_s if lives_s else None
    made = bootstrap_tokens.BootstrapToken("abcdef", "0123456789abcdef", ends, frozenset(), (), "")
    client = Unsigned()
    asyncio.run(token.store(client, made))
    assert len(client.secrets) == 1
    assert ("does its manager run?" in capsys.readouterr().err) is warns
