"""Tokens by which hosts join: their Secrets read and written, their signatures made and checked."""

import base64
import dataclasses
import json
from typing import Any

import jwt
import pytest

from nanokube.api import bootstrap_tokens as tokens

TOKEN = tokens.BootstrapToken(
    "abcdef",
    "0123456789abcdef",
    1_750_000_000.0,
    frozenset((tokens.AUTHENTICATION, tokens.SIGNING)),
    (tokens.JOIN_GROUP,),
    "for the lab",
)


def test_a_token_survives_its_secret() -> None:
    assert tokens.of_secret(tokens.to_secret(TOKEN)) == TOKEN


@pytest.mark.parametrize(
    "change",
    [
        {"type": "Opaque"},
        {"metadata": {"name": "bootstrap-token-other0"}},
        {"data": {}},
        {"data": {"token-id": base64.b64encode(b"abcdef").decode(), "token-secret": "!"}},
        {"data": {"token-id": base64.b64encode(b"Abcdef").decode(), "token-secret": "YQ=="}},
    ],
)
def test_a_secret_that_is_no_token_is_none(change: dict[str, Any]) -> None:
    assert tokens.of_secret({**tokens.to_secret(TOKEN), **change}) is None


def test_a_secret_of_any_form_signs() -> None:
    token = dataclasses.replace(TOKEN, secret="geheimnis: ä")
    assert tokens.of_secret(tokens.to_secret(token)) == token
    assert set(tokens.signatures("content", {"abcdef": token}, 0.0)) == {"jws-kubeconfig-abcdef"}


def test_an_expiry_that_cannot_be_read_has_passed() -> None:
    secret = tokens.to_secret(TOKEN)
    secret["data"]["expiration"] = base64.b64encode(b"tomorrow").decode()
    found = tokens.of_secret(secret)
    assert found is not None
    assert found.is_expired(1.0)


def test_groups_outside_the_bootstrappers_are_ignored() -> None:
    secret = tokens.to_secret(TOKEN)
    secret["data"]["auth-extra-groups"] = base64.b64encode(b"system:masters,system:bootstrappers:a").decode()
    found = tokens.of_secret(secret)
    assert found is not None
    assert found.groups == ("system:bootstrappers:a",)


def test_a_signature_is_a_jws_with_its_payload_cut_out() -> None:
    content = "apiVersion: v1\nkind: Config\n"
    secret = "0123456789abcdef" * 2  # as long as the library wants its keys
    header, payload, mac = tokens.sign(content, "abcdef", secret).split(".")
    assert payload == ""
    cut_out = base64.urlsafe_b64encode(content.encode()).rstrip(b"=").decode()
    decoded = jwt.PyJWS().decode_complete(f"{header}.{cut_out}.{mac}", secret, algorithms=["HS256"])
    assert decoded["payload"] == content.encode()
    assert decoded["header"] == {"alg": "HS256", "kid": "abcdef"}


@pytest.mark.parametrize(
    ("signature", "content", "secret"),
    [
        (None, "other", TOKEN.secret),
        (None, "content", "x" * 16),
        ("", "content", TOKEN.secret),
        ("a.b", "content", TOKEN.secret),
        ("é..é", "content", TOKEN.secret),
        (
            base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "abcdef"}).encode()).decode() + "..",
            "content",
            TOKEN.secret,
        ),
    ],
)
def test_a_signature_of_anything_else_is_refused(signature: str | None, content: str, secret: str) -> None:
    made = tokens.sign("content", "abcdef", TOKEN.secret)
    assert tokens.is_signed(made, "content", "abcdef", TOKEN.secret)
    assert not tokens.is_signed(made if signature is None else signature, content, "abcdef", secret)
