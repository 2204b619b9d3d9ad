"""A worker takes the successor of its authority, and nobody else's."""

import datetime

import pytest

from nanokube.kit import pki
from nanokube.roles import authority, bootstrap

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=2000)
OWN = pki.Authority.create("kubernetes", NOW)


def named(certificate: bytes) -> str:
    return bootstrap.kubeconfig("https://192.0.2.10:6443", certificate, "", pki.KeyPair(b"", b""))


def test_a_longer_life_of_the_same_key_is_taken() -> None:
    own, renewed = OWN.pair.certificate, OWN.renewed(LATER).pair.certificate
    assert authority.successor(own, named(renewed)) == renewed
    assert authority.successor(own, named(own)) is None
    assert authority.successor(renewed, named(own)) is None


def test_another_authority_is_not_taken() -> None:
    other = pki.Authority.create("kubernetes", LATER).pair.certificate
    assert authority.successor(OWN.pair.certificate, named(other)) is None


@pytest.mark.parametrize("text", ["", "{", "clusters: []", named(b"junk")])
def test_what_is_no_kubeconfig_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot understand|load|PEM|certificate"):
        authority.successor(OWN.pair.certificate, text)
