"""Certificates name whom they should, chain to their authority and are renewed in time."""

import datetime
import ssl

import pytest
from cryptography import x509

from nanokube.kit import pki

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SERVER = pki.Subject("kube-apiserver", ("system:masters",), ("kubernetes", "10.96.0.1"))


@pytest.fixture(scope="module")
def authority() -> pki.Authority:
    return pki.Authority.create("kubernetes", NOW)


def test_a_certificate_names_user_groups_and_addresses(authority: pki.Authority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.issue(SERVER, NOW).certificate)
    assert certificate.subject.rfc4514_string() == "CN=kube-apiserver,O=system:masters"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.96.0.1"]


def test_a_key_says_that_it_is_of_an_elliptic_curve(authority: pki.Authority) -> None:
    """fabric8 (Java: Spark, Flink, Quarkus) takes a key for RSA unless its first line says so."""
    key = authority.issue(SERVER, NOW).key
    assert key.startswith(b"-----BEGIN EC PRIVATE KEY-----\n")
    assert pki.signing_pair().key.startswith(b"-----BEGIN EC PRIVATE KEY-----\n")


def test_openssl_accepts_the_chain(authority: pki.Authority, tmp_path: object) -> None:
    context = ssl.create_default_context(cadata=authority.pair.certificate.decode())
    assert context.cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize(
    ("subject", "days", "expected"),
    [
        (SERVER, 0, True),
        (SERVER, 274, True),
        (SERVER, 276, False),
        (pki.Subject("kube-apiserver", ("system:masters",), ("kubernetes", "10.96.0.2")), 0, False),
        (pki.Subject("other", ("system:masters",), ("kubernetes", "10.96.0.1")), 0, False),
    ],
)
def test_a_certificate_is_kept_while_it_fits(
    authority: pki.Authority, subject: pki.Subject, days: int, expected: bool
) -> None:
    pair = authority.issue(SERVER, NOW)
    assert authority.vouches_for(pair, subject, NOW + datetime.timedelta(days=days)) is expected


def test_another_authoritys_certificate_is_replaced(authority: pki.Authority) -> None:
    stranger = pki.Authority.create("kubernetes", NOW)
    assert not authority.vouches_for(stranger.issue(SERVER, NOW), SERVER, NOW)
    assert not authority.vouches_for(pki.KeyPair(b"garbage", b""), SERVER, NOW)
