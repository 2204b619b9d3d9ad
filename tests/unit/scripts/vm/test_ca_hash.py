"""The hash of an authority is told only if the token vouches for that authority."""

import datetime
from typing import Any

import pytest

from nanokube.api import bootstrap_tokens as tokens
from nanokube.controllers import cluster_info
from nanokube.kit import pki
from nanokube.roles import discovery
from scripts.vm import ca_hash

NOW = datetime.datetime.now(datetime.UTC)
AUTHORITY = pki.Authority.create("kubernetes", NOW)
SERVER = "https://192.0.2.1:6443"
SECRET = "0123456789abcdef"


def info(secret: str) -> dict[str, Any]:
    content = cluster_info.kubeconfig(SERVER, AUTHORITY.pair.certificate.decode())
    return {"data": {"kubeconfig": content, "jws-kubeconfig-abcdef": tokens.sign(content, "abcdef", secret)}}


def test_a_signed_authority_is_told() -> None:
    expected = pki.public_key_hash(AUTHORITY.pair.certificate)
    assert ca_hash.vouched(info(SECRET), SERVER, f"abcdef.{SECRET}") == expected


@pytest.mark.parametrize(
    "told", [info("x" * 16), {"data": {"kubeconfig": "{"}}, {}], ids=["other", "broken", "none"]
)
def test_what_the_token_did_not_sign_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(discovery.JoinError):
        ca_hash.vouched(told, SERVER, f"abcdef.{SECRET}")
